"""The conversation core: knows neither discord, torch nor SQL."""
