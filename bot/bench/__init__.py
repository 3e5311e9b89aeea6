"""The engine's benchmark: `python -m bot bench`."""
