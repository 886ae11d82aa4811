"""Training: plans, batches, one step, the only loop, its recorder. Knows no lane and no window."""
