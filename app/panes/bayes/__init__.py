"""The Bayes pane."""
