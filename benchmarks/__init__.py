"""
How fast the servers are: a load generator, and the matrix that C{make bench} runs.
Apart from that: L{benchmarks.fileindex}, L{benchmarks.copying}.
"""
