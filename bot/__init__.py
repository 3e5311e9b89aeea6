"""Caduceus: a self-hosted chat and roleplay bot for Discord."""

__version__ = "0.1.0"
