"""Programs that write with a model and keep running: an editor in the terminal."""
