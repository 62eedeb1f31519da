"""Which kinds of model are there, and how is each fitted and exported?"""
