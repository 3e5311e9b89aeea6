"""Lorebooks: the records, and every format that they come and go in."""
