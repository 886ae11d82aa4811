"""The engine: everything that computes. It never imports Qt; importing this package imports nothing heavy."""
