"""`/moderation words`: what a server does not want to read."""

import io
from collections.abc import Sequence

import discord
from discord import app_commands

from bot.chat.limits.words.word import MOST_WORDS, Guild, GuildWord, Side
from bot.chat.moderation.word_list import told
from bot.chat.text.forbidden.redaction import Then
from bot.errors import NotFound
from cogs.client import Interaction, bot_of
from cogs.commands.personas.finding import CHOICES
from cogs.commands.personas.looks import plain
from cogs.interactions import CONTENT_CHARACTERS, in_time
from cogs.platform import NOBODY, PLATFORM
from cogs.rights.holding import own_server

SHOWN_CHARACTERS = 300  # of an entry
CHOICE_CHARACTERS = 100  # Discord's most

_NONE_YET = (
    "The list is empty. Add a word or a phrase, or a pattern between slashes such as "
    "`/colou?rs?/`: `then` says what happens where I meet it, `side` in whose words I look."
)
_WHAT_HAPPENS = {
    Then.MASK: {
        Side.IN: "Where people write it to me, I see blocks in its place.",
        Side.OUT: "Where I would say it, blocks are shown in its place.",
        Side.BOTH: "Wherever people write it to me or I would say it, blocks stand in its place.",
    },
    Then.STOP: {
        Side.IN: "A message to me with it stays unanswered, and I say so once.",
        Side.OUT: "My reply ends before it.",
        Side.BOTH: "A message to me with it stays unanswered, and my replies end before it.",
    },
    Then.IGNORE: {
        Side.IN: "A message with it is not heard at all.",
        Side.OUT: "A reply with it is not shown at all. So that none begins to be shown, my "
        "replies come when they are whole.",
        Side.BOTH: "A message with it is not heard, and a reply with it is not shown. So that none "
        "begins to be shown, my replies come when they are whole.",
    },
}


async def change_words(
    interaction: Interaction, action: str, pattern: str | None, then: Then, side: Side
) -> None:
    """Add, remove or list."""
    guild: Guild = PLATFORM, own_server(interaction)
    await interaction.response.defer(ephemeral=True, thinking=True)
    if action == "list":
        await _show_list(interaction, guild)
        return
    if not pattern or not pattern.strip():
        raise NotFound("Which word?", "Give it with the option `pattern`.")
    by, words = str(interaction.user.id), bot_of(interaction).moderation.words
    if action == "remove":
        gone = await words.remove(guild, pattern, by=by)
        said = f"{_entry(gone)} is off the list."
    else:
        word, is_new = await words.add(guild, pattern, then, side, by=by)
        done = "is on the list" if is_new else "was on the list, and is changed"
        said = f"{_entry(word)} {done}. {_WHAT_HAPPENS[then][side]}"
    await interaction.followup.send(said, ephemeral=True, allowed_mentions=NOBODY)


async def _show_list(interaction: Interaction, guild: Guild) -> None:
    listed = await bot_of(interaction).moderation.words.listed(guild)
    lines = [f"{_entry(word)}: {told(word)}" for word in listed]
    text = "\n".join([f"**{len(listed)} of {MOST_WORDS} entries**", *lines])
    if not listed:
        await interaction.followup.send(_NONE_YET, ephemeral=True)
    elif len(text) <= CONTENT_CHARACTERS:
        await interaction.followup.send(text, ephemeral=True, allowed_mentions=NOBODY)
    else:
        await interaction.followup.send(
            f"{len(listed)} of {MOST_WORDS} entries.", file=_as_file(listed), ephemeral=True
        )


def _as_file(words: Sequence[GuildWord]) -> discord.File:
    lines = (f"#{word.word_id}\t{word.pattern}\t{told(word)}" for word in words)
    return discord.File(io.BytesIO("\n".join(lines).encode()), "words.txt")


def _entry(word: GuildWord) -> str:
    return f"#{word.word_id} «{plain(word.pattern, SHOWN_CHARACTERS)}»"


@in_time
async def complete_word(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """What is on the list."""
    if getattr(interaction.namespace, "action", "") == "add":
        return []
    words = bot_of(interaction).moderation.words
    listed = await words.listed((PLATFORM, own_server(interaction)))
    wanted = typed.casefold().strip()
    return [
        app_commands.Choice(
            name=f"#{word.word_id} {word.pattern}"[:CHOICE_CHARACTERS], value=f"#{word.word_id}"
        )
        for word in listed
        if wanted in word.pattern.casefold() or wanted == f"#{word.word_id}"
    ][:CHOICES]
