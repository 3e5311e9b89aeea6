"""Scenes on the page."""
