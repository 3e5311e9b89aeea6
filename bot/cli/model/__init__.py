"""`python -m bot model suggest|fetch|use|inspect|quantize`."""

from bot.cli.model.command import EXIT_PROBLEMS, add_arguments, run

__all__ = ["EXIT_PROBLEMS", "add_arguments", "run"]
