"""What is done to batches of images before a network sees them. Tensors in, tensors out."""
