"""Every loss term, live."""
