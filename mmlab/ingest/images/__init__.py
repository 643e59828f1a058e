"""From the images that rows name to one table of their files, facts, flags and duplicates."""
