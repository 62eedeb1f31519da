"""What people and their tools read about the API."""
