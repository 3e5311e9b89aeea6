"""Guessing how a reply goes on, from the talk itself: one step then checks many tokens."""
