"""Which kind of model with which hyperparameters is best, and when is the search over?"""
