"""Texts for images that have none: printed text, read by OCR, or captions written by a model."""
