"""An HTTP server for one model: completions as OpenAI's clients ask for them, and a page."""
