"""Loss of a model on text: protocols, scores, dynamic evaluation, diagnosis."""
