"""Render elements of a page as HTML, SVG or terminal text."""
