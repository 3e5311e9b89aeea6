"""Which entries of the lorebooks fire, where they stand, and why the others don't."""
