"""A map of the features of many images."""
