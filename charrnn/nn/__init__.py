"""The recurrent network in PyTorch and NumPy; devices; data-parallel helpers."""
