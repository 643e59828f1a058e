"""The report of a run: summary, `index.html`, a page for each notebook, all in one file; and the index of all runs."""
