"""The record of a run: its files, its manifest, the step that a notebook does, and whether a file may still be used."""
