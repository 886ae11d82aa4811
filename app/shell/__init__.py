"""The window around the panes: layout, lists, time cursor, palette, theme, and the bridge to the engine."""
