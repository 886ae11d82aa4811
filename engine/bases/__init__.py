"""What families of methods share: settings, networks wired alike, what they can do. No method by itself."""
