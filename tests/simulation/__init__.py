"""
The whole service in one process, with time, network, crashes and chance from one
seed: L{tests.simulation.simulate.simulate}.
"""
