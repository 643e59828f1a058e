"""Queries: embed them, search by them over one model or several, rank many of them, and explain a result."""
