"""The documents, done as they say."""
