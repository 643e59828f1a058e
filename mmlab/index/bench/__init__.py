"""Measure an index: recall and latency of searches, layouts, placements, sweeps of settings."""
