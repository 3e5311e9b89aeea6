"""What is remembered: facts, and words that old turns are found by. Functions of a connection."""
