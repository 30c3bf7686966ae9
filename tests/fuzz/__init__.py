"""Hostile input, a great deal of it, at everything that reads what others have written."""
