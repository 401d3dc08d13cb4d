"""The loop that writes, in C: source, build, binding. Optional."""
