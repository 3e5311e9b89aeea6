"""Who is heard, who answers, and one reply at a time."""
