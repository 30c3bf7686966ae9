"""Redis: it counts and keeps, Python judges."""
