"""Scenes: a roleplay with a title, a cast of personas and players' characters."""
