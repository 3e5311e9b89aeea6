"""The context menu «Why this reply?»: what the model was given."""

import io
from collections.abc import Sequence

import discord
from discord import app_commands
from discord.ext import commands

from bot.chat.prompt.build import LeftOut
from bot.chat.talk.conversations import Explanation, PersonaSince
from bot.errors import NotFound
from cogs.client import CaduceusBot
from cogs.interactions import (
    Interaction,
    channel_of,
    require_reader,
)
from cogs.platform import (
    key_of,
)

DESCRIPTION_CHARACTERS = 4096


class Why(commands.Cog):
    """Explains the bot's replies to whoever can read the channel."""

    def __init__(self, bot: CaduceusBot) -> None:
        self._bot = bot
        self._menu = app_commands.ContextMenu(name="Why this reply?", callback=self.explain)

    async def cog_load(self) -> None:
        """Add the menu: a cog does not do that by itself."""
        self._bot.tree.add_command(self._menu)

    async def cog_unload(self) -> None:
        """And take it away."""
        self._bot.tree.remove_command(self._menu.name, type=self._menu.type)

    async def explain(self, interaction: Interaction, message: discord.Message) -> None:
        """Show the prompt that a reply was written from, rebuilt."""
        key = key_of(channel_of(interaction))
        require_reader(interaction)
        await interaction.response.defer(ephemeral=True, thinking=True)
        conversations = self._bot.conversations
        turn = await conversations.history.turn_of_message(key, str(message.id))
        if turn is None or turn.role != "bot":
            raise NotFound("That is no reply of mine.", "Choose one of my messages.")
        explanation = await conversations.why(turn.turn_id)
        prompt = explanation.prompt.text.encode()
        file = discord.File(io.BytesIO(prompt), filename="prompt.txt")
        await interaction.followup.send(embed=describe(explanation), file=file, ephemeral=True)


def describe(explanation: Explanation) -> discord.Embed:
    """The prompt's parts, what was left out, and how the text was chosen."""
    prompt = explanation.prompt
    lines = [f"{section.tokens:>6}  {section.name}" for section in explanation.sections]
    lines.append(f"{prompt.tokens:>6}  in all")
    embed = discord.Embed(title="Why this reply?", description=_in_code("tokens", lines))
    if left_out := [_left_out(part) for part in prompt.left_out]:
        embed.add_field(name="Left out", value="\n".join(left_out)[:1024], inline=False)
    record = explanation.record
    if record is not None:
        sampling, took = record.sampling, record.statistics
        embed.add_field(name="Model", value=took.model[:1024])
        if record.engine:
            embed.add_field(name="Engine", value=record.engine[:1024])
        embed.add_field(
            name="Chosen with",
            value=f"temperature {sampling.temperature:g}, top_p {sampling.top_p:g}, "
            f"top_k {sampling.top_k}, min_p {sampling.min_p:g}, "
            f"repetition_penalty {sampling.repetition_penalty:g}, seed {took.seed}",
        )
        embed.add_field(
            name="Took",
            value=f"{took.first_token_seconds:.1f} s to the first word, {took.reply_tokens} tokens "
            f"at {took.tokens_per_second:.1f} a second"
            + (f", {took.thinking_tokens} of thought before" if took.thinking_tokens else ""),
        )
    if explanation.missing_engine:
        embed.set_footer(
            text=f"The engine «{explanation.missing_engine}» that wrote this is no longer "
            "configured: this is the prompt as another would get it."
        )
    elif since := what_changed(explanation):
        embed.set_footer(text=since)
    return embed


def what_changed(explanation: Explanation) -> str:
    """What is no longer as it was when the reply was written, "" where nothing is known to be."""
    name = explanation.persona.name
    match explanation.persona_since:
        case PersonaSince.GONE:
            return f"The persona is gone: this is the prompt as it would be now, for {name}."
        case PersonaSince.EDITED if explanation.changed_since:
            return f"{name} has been edited since: this is the prompt as it would be now."
        case PersonaSince.EDITED:
            return f"{name} has been edited since, but this prompt is the same."
        case PersonaSince.SAME if explanation.changed_since:
            return (
                "The conversation or the settings have changed since: this is the prompt as it "
                "would be now."
            )
        case PersonaSince.SAME:
            return ""


def _left_out(part: LeftOut) -> str:
    tokens = "" if part.tokens is None else f", {part.tokens} tokens"
    return f"{part.what} ({part.turns}{tokens}): {part.reason}"


def _in_code(head: str, lines: Sequence[str]) -> str:
    text = "\n".join([head, *lines])[: DESCRIPTION_CHARACTERS - 10]
    return f"```\n{text}\n```"
