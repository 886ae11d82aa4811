"""The Chains pane: Markov chains on a density in the plane."""
