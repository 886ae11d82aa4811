"""The engine as a background thread: two lanes, their inboxes, and what follows the run folders."""
