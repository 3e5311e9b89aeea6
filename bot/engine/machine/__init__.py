"""What this machine has: memory, cores, cards, and what of it may be used. No torch."""
