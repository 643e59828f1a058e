"""The engines that keep points: Qdrant Edge in a folder, a Qdrant server by URL. Nothing else knows their libraries."""
