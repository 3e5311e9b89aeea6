"""A guild's own personas: what is kept of them, and how they are made, edited and found."""
