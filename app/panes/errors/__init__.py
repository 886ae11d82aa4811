"""The Errors pane."""
