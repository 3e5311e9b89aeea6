"""Slash commands, context menus and buttons: one module a group."""
