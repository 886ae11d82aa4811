"""The form that every sentence about something wrong must have."""

from __future__ import annotations


def look_at(sentence: str) -> str:
    """One sentence with its cause and a next step, no traceback; given back to be looked at further."""
    assert sentence.endswith(".") and "\n" not in sentence, sentence
    assert ";" in sentence or "," in sentence, f"no next step in: {sentence}"
    assert "Traceback" not in sentence and "Error" not in sentence, sentence
    return sentence
