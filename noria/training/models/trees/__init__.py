"""How are trees grown: in memory, in batches from disk, on a cluster?"""
