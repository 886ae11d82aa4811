"""Small reusable widgets. They know the shared state at most; no method, no engine."""
