"""The whole turn of the wheel, shown while it happens: `make demo`.

It uses the interfaces that users have, and reads `ops` for what it waits for and for its summary.
"""
