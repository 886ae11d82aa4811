"""The one error of reading data."""

from __future__ import annotations


class BadData(Exception):
    """One sentence for the user: the cause and the next step."""


class Bad(Exception):
    """Why a file gives no picture: a clause with cause and next step, without the file's name."""
