"""What panes ask of a checkpoint or of data: one file for each conversation, answered in the query lane."""
