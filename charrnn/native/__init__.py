"""The step of the network in C: source, build, binding. Optional."""
