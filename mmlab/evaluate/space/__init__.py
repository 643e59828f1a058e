"""The vectors of texts and of images: their shape, and right pairs against wrong ones."""
