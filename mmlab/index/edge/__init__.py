"""Qdrant Edge, the default engine: collections in a folder, in this process. Nothing else knows qdrant_edge."""
