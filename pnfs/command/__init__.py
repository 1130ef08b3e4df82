"""
The C{pnfs} program, one module per subcommand.
"""
