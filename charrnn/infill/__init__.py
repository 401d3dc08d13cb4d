"""Texts read from both sides: what fits into a gap, and which characters look wrong."""
