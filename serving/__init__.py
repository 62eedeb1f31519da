"""Answers predictions over REST with the version that the registry calls champion, and never loses one it has answered."""
