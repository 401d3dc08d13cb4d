"""Runs and checkpoint files on disk: format, model, training state, folder, log, names."""
