"""Numpy only: conversions, interpolation and metrics that engine and window share."""
