"""Guilds' word lists."""
