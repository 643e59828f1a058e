"""Scores alone: rankings -> rankings, score matrices -> score matrices, vectors -> vectors; no index and no model."""
