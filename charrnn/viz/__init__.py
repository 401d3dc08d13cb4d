"""Pictures of what a model predicts and stores, and the report of a run."""
