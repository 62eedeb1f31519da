"""How does the best trial become a calibrated model with a decision threshold?"""
