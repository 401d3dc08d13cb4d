"""What a model predicts and stores, and the report of a run, as elements of a page."""
