"""Turns and what belongs to them. Functions of a connection, bound in `bot/store/history.py`."""
