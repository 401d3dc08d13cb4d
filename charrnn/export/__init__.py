"""A model for others: the page that writes, and the model in it as a checkpoint."""
