"""The store: what mmlab asks of an engine, how a layout puts items into points, and the one class over both."""
