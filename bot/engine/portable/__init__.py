"""The runner for any device that torch knows."""
