"""Compare texts with a corpus: copied spans, and what is new."""
