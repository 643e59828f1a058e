"""Clean captions, replace words in them, and write the missing ones by OCR or a captioning model."""
