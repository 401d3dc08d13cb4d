"""What all other packages use: errors, settings, events, console, output, files, signals, seeds."""
