"""What a model is mixed with: n-gram memories of other texts, and other models."""
