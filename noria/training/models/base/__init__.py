"""What does every kind of model offer, and what do they build on?"""
