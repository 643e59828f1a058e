"""Clean captions and replace words in them."""
