"""`/status`: how the engines are doing."""

import math
from collections.abc import Sequence

import discord
from discord import app_commands
from discord.ext import commands

from bot.chat.engines import Standing
from bot.engine.api import EngineState
from cogs.client import CaduceusBot, Interaction

_COLOURS = {
    EngineState.READY: discord.Colour.green(),
    EngineState.STARTING: discord.Colour.gold(),
    EngineState.RESTARTING: discord.Colour.orange(),
    EngineState.STOPPED: discord.Colour.red(),
}

_LONG = ("Last error", "Take care")


class Status(commands.Cog):
    """What the bot is doing, for everybody."""

    def __init__(self, bot: CaduceusBot) -> None:
        self._bot = bot

    @app_commands.command()
    async def status(self, interaction: Interaction) -> None:
        """See the queue, the wait, the model and the version."""
        embed = describe(self._bot.conversations.engines.standings(), self._bot.version)
        if math.isfinite(self._bot.latency):
            embed.add_field(name="Discord", value=f"{self._bot.latency * 1000:.0f} ms away")
        await interaction.response.send_message(embed=embed, ephemeral=True)


def describe(standings: Sequence[Standing], version: str) -> discord.Embed:
    """The status of the engine that answers now, in words, and a line about each other one."""
    answering = next(one for one in standings if one.answers)
    status = answering.status
    embed = discord.Embed(title=f"Caduceus {version}".strip(), colour=_COLOURS.get(status.state))
    fields = {
        "Answers now": answering.name if len(standings) > 1 else "",
        "State": status.state.value,
        "Model": status.model,
        "Format": answering.written_in.format,
        "Queue": f"{status.running} being answered, {status.waiting} waiting",
        "Wait": f"about {status.expected_wait_seconds:.0f} s for a new message",
        "Speed": f"{status.tokens_per_second:.1f} tokens/s" if status.tokens_per_second else "",
        "Runs on": ", ".join(part for part in (status.device, status.kernel) if part),
        "Memory": (
            f"{status.kv_tokens_used} of {status.kv_tokens_total} tokens"
            if status.kv_tokens_total
            else ""
        ),
        "Restarts": str(status.restarts) if status.restarts else "",
        "Last error": status.last_error,
        "Take care": answering.written_in.problem,
    }
    for name, value in fields.items():
        if value:
            embed.add_field(name=name, value=value[:1024], inline=name not in _LONG)
    for other in standings:
        if not other.answers:
            embed.add_field(name=other.name, value=_line(other)[:1024], inline=False)
    return embed


def _line(standing: Standing) -> str:
    """An engine that does not answer now."""
    status = standing.status
    words = f"{status.state}, model {status.model or 'not known yet'}"
    if status.state is EngineState.READY:
        words += f", wait about {status.expected_wait_seconds:.0f} s"
    return f"{words}. {status.last_error}".strip()
