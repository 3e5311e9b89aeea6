"""What is kept of a person, and how they get it, take it back or keep out of it."""
