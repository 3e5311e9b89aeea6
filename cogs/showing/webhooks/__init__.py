"""Personas under their own names and pictures: one webhook a channel, application emojis."""
