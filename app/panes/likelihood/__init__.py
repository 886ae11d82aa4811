"""How likely an image is, by which score, and how sure that is."""
