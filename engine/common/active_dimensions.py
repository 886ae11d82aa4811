"""When a latent dimension counts as active: one definition for every place that counts them."""

LEAST_VARIANCE = 1e-2  # Burda, Grosse and Salakhutdinov, Importance Weighted Autoencoders, ICLR 2016, section 5.1
DEFINITION = f"Active: its posterior mean varies over held-out images with a variance above {LEAST_VARIANCE:g} (Burda et al. 2016)."
