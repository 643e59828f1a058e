"""Decide what becomes of each row, and build the tables that ingest returns."""
