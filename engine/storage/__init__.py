"""Runs on disk: how bytes get there whole, how they are checked on the way back, and who may write."""
