"""Messages of the Views pane: the tensors of the next batch, and how similar a checkpoint finds them."""
