"""The execution of notebooks with papermill, of one run or of a sweep: finding them, their kernels, progress."""
