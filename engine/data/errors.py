"""The one error of reading data."""

from __future__ import annotations


class BadData(Exception):
    """One sentence for the user: the cause and the next step."""
