"""Which rows, columns and targets does a model learn from, and how are they encoded?"""
