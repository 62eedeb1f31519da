"""How good is a model, how certain is that, and what are its decisions worth, on rows that nothing else has used?"""
