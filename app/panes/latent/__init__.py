"""A walk through a latent space."""
