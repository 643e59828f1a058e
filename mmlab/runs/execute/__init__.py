"""The execution of notebooks with papermill: finding them, their kernels, their progress."""
