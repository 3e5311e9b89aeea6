"""The local web page: the same conversation core as Discord's, on 127.0.0.1 only."""

from bot.workbench.server import Workbench

__all__ = ["Workbench"]
