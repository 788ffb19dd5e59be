"""A mock exchange with users, and what becomes of what they do: ``adctl demo``."""
