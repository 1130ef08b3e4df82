"""
What the control channel of a metadata server can be asked to do: one module per noun.

Each has a class that is given the L{pnfs.mds.administration.Administration}, and whose
C{commands} are what L{pnfs.admin.control.Commands.add} takes.
"""
