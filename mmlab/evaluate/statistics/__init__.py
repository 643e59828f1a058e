"""Means, groups and comparisons of systems, with intervals that count pairs instead of captions."""
