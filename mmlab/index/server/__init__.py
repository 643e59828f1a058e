"""A Qdrant server or cluster by URL. Nothing else knows qdrant_client."""
