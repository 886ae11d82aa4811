"""One file here is one score, or one small family of scores. They are found by folder: there is no list to edit."""
