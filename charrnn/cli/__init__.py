"""One module per command: options in, library call, result out."""
