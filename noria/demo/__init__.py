"""The whole turn of the wheel, told while it happens: `make demo`. Everything goes through the doors that users have."""
