"""Written conversations, played through the real core and measured: `python -m bot talk`."""
