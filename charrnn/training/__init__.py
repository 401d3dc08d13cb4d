"""The training loop: one update, validation, budget, schedule, checkpointing."""
