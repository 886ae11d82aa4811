"""What ends a verb before its end, each with one sentence."""

from __future__ import annotations


class Failed(Exception):
    """One sentence for stderr; exit code 1."""


class Usage(Exception):
    """One sentence for stderr; exit code 2."""


class Interrupted(KeyboardInterrupt):
    """A signal asked the verb to end; one sentence for stderr, exit code 1."""
