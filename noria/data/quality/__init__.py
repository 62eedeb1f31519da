"""Are the rows of an interval good enough to use?"""
