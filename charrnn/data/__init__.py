"""Text files -> ids -> training batches."""
