"""What a run is worth: held-out likelihoods, accuracy, probes, distances of samples; the tables of the verbs."""
