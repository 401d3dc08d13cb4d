"""From a `train` command to a running session: presets, preparation, resume, ranks."""
