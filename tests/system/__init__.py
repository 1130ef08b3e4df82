"""
Tests with real processes, sockets and kernels. Each is skipped by name where what
it needs is missing; C{.ci/run} installs all of it.
"""
