"""Sweeps: one experiment in many settings, several steps at a time; what settings have in common is done once."""
