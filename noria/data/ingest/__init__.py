"""How do rows of a source get into `raw`, one interval at a time?"""
