"""Messages of the Probe pane: what the features of a checkpoint are worth for telling classes apart."""
