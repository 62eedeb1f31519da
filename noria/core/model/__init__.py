"""A model as data: signature, encoder, decision, money, and the exact reasons of a prediction."""
