"""Samples as they arrive, and their branches."""
