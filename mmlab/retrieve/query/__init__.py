"""One query -> hits, many queries -> rankings, and the reasons for a result."""
