"""The vectors of texts and of images: their shape, their neighbours, right pairs against wrong ones."""
