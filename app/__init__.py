"""The window: everything that draws. It never imports torch; it talks to the engine through `engine.messages` only."""
