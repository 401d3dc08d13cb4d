"""What a text may and should contain: characters that are banned, preferred or written again."""
