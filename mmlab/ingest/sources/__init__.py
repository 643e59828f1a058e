"""Read any dataset into one table of rows: a file a family of formats, `formats` lists them all."""
