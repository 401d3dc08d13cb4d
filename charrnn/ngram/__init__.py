"""The n-gram model of the training text, and the gate that mixes it with the network."""
