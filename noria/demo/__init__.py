"""The whole turn of the wheel, shown while it happens: `make demo`. It uses only the interfaces that users have."""
