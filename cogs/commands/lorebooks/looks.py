"""Lorebooks as people see them."""

from collections.abc import Iterator, Mapping, Sequence

import discord

from bot.chat.personas.guild.book_files import BookFile
from bot.chat.personas.guild.kept import KeptLorebook
from bot.chat.personas.guild.lore_workshop import Place
from bot.chat.personas.lore.book import Lorebook, LoreEntry
from bot.chat.personas.lore.preview import BookPreview
from bot.chat.roleplay.activation.trying import Verdict
from bot.chat.roleplay.trials import Trial
from cogs.commands.lorebooks.pages import numbered
from cogs.commands.personas.looks import plain

BOOKS_A_PAGE = 8
ENTRIES_A_PAGE = 8  # so that every page stays within an embed's 4,096 and 6,000 characters
VERDICTS_A_PAGE = 8
PLACES_SHOWN = 4
NAME_CHARACTERS = 100
TITLE_CHARACTERS = 80
KEYS_CHARACTERS = 120
CONTENT_CHARACTERS = 180
WHY_CHARACTERS = 200
LORE_SHARE = 25  # percent of the context that lore may take: ActivationSettings.budget_percent


def list_page(
    books: Sequence[KeptLorebook],
    here: Sequence[Place],
    personas: Mapping[str, str],
    own: str,
    number: int,
) -> discord.Embed:
    """A page of a server's books. `own` tells of the book that the persona here has itself."""
    shown = books[number * BOOKS_A_PAGE : (number + 1) * BOOKS_A_PAGE]
    lines = [own] if own and number == 0 else []
    lines += [_line_of_book(book, here, personas) for book in shown]
    embed = discord.Embed(title="Lorebooks", description="\n".join(lines))
    if not lines:
        embed.description = "There are none. `/lore import` takes one from a file."
    return numbered(embed, number, len(books), BOOKS_A_PAGE)


def _line_of_book(book: KeptLorebook, here: Sequence[Place], personas: Mapping[str, str]) -> str:
    mark = " (counts here)" if any(place in here for place in book.places) else ""
    size = f"{entries_of(book.entries)}, {-(-book.size_bytes // 1024):,} KiB"
    return f"**{plain(book.name, NAME_CHARACTERS)}**{mark}: {size}; {said_places(book, personas)}"


def said_places(book: KeptLorebook, personas: Mapping[str, str]) -> str:
    """Where a book is attached, in words; `personas` are names by ids."""
    if not book.places:
        return "attached nowhere"
    said = [_said_place(place, personas) for place in book.places[:PLACES_SHOWN]]
    more = len(book.places) - PLACES_SHOWN
    return "attached to " + ", ".join(said) + (f" and {more} more" if more > 0 else "")


def _said_place(place: Place, personas: Mapping[str, str]) -> str:
    scope, scope_id = place
    if scope == "guild":
        return "the whole server"
    if scope == "channel":
        return f"<#{scope_id.rpartition(':')[2]}>"
    name = personas.get(scope_id)
    return plain(name, 50) if name else f"a persona that is gone (`{scope_id[:30]}`)"


def entries_of(count: int) -> str:
    """How many, in words."""
    return "1 entry" if count == 1 else f"{count:,} entries"


def book_page(
    name: str,
    book: Lorebook,
    preview: BookPreview,
    where: str,
    number: int,
    kept: KeptLorebook | None = None,
) -> discord.Embed:
    """A page of a book's entries; the first tells of the book, too.

    `where` says in words where it counts. `kept` is a server's book, not a persona's own.
    """
    title = plain(name, NAME_CHARACTERS)
    shown = book.entries[number * ENTRIES_A_PAGE : (number + 1) * ENTRIES_A_PAGE]
    lines = [line for entry in shown for line in _lines_of_entry(entry)]
    embed = discord.Embed(title=title, description="\n".join(lines) or "It has no entries.")
    if number == 0:
        if book.description.strip():
            embed.add_field(name="Description", value=plain(book.description, 600), inline=False)
        embed.add_field(name="What it is", value=preview.kind)
        embed.add_field(name="Holds", value=holdings(preview), inline=False)
        embed.add_field(name="Where", value=where, inline=False)
        if settings := ", ".join(_settings_of(book)):
            embed.add_field(name="Its own settings", value=settings, inline=False)
        if kept is not None and kept.created_by.isdecimal():
            when = discord.utils.format_dt(kept.created_at, "d")
            embed.add_field(name="Brought", value=f"by <@{kept.created_by}>, {when}")
    return numbered(embed, number, len(book.entries), ENTRIES_A_PAGE)


def _settings_of(book: Lorebook) -> Iterator[str]:
    if book.scan_depth is not None:
        yield f"scans {book.scan_depth:,} messages"
    if book.token_budget is not None:
        yield f"at most {book.token_budget:,} tokens"
    if book.recursive is not None:
        yield "recursive" if book.recursive else "not recursive"


def _lines_of_entry(entry: LoreEntry) -> Iterator[str]:
    marks = [
        *(["disabled"] if not entry.enabled else []),
        *(["always there"] if entry.constant else []),
    ]
    mark = f" ({', '.join(marks)})" if marks else ""
    yield f"**{plain(entry.title, TITLE_CHARACTERS)}**{mark}"
    keys = ", ".join(key[:60] for key in entry.keys[:20])
    if keys:
        yield f"-# keys: {plain(' '.join(keys.split()), KEYS_CHARACTERS)}"
    if content := " ".join(entry.content[: 4 * CONTENT_CHARACTERS].split()):
        yield plain(content, CONTENT_CHARACTERS)


def holdings(preview: BookPreview) -> str:
    """What a book holds, and what that costs, in words."""
    said = entries_of(preview.entries)
    if preview.disabled:
        said += f", {preview.disabled:,} of them disabled"
    if preview.constant:
        said += f", {preview.constant:,} always there"
    said += f"; about {preview.tokens:,} tokens if all fire"
    return said + (f", {preview.constant_tokens:,} in every prompt" if preview.constant else "")


def import_preview(found: BookFile, context_tokens: int) -> discord.Embed:
    """A book before it is taken. `context_tokens` is the model's context, 0 if not known."""
    preview = found.preview
    embed = discord.Embed(
        title=plain(found.name, NAME_CHARACTERS), description=plain(preview.description, 600)
    )
    kind = f"the lorebook inside {found.card}" if found.card else preview.kind
    embed.add_field(name="What it is", value=plain(kind, 300), inline=False)
    embed.add_field(name="Holds", value=holdings(preview), inline=False)
    warnings = list(preview.warnings)
    room = context_tokens * LORE_SHARE // 100
    if context_tokens and preview.constant_tokens > room:
        warnings.append(
            f"What is always there takes about {preview.constant_tokens:,} tokens, more than the "
            f"{room:,} that lore may have of this model's context: not all of it will be told."
        )
    if warnings:
        said = "\n".join(f"• {plain(warning, 230)}" for warning in warnings)
        embed.add_field(name="⚠️ Unusual, or not used", value=said[:1000], inline=False)
    return embed


def trial_page(trial: Trial, text: str, number: int) -> discord.Embed:
    """A page of what would fire and what not."""
    shown = trial.verdicts[number * VERDICTS_A_PAGE : (number + 1) * VERDICTS_A_PAGE]
    several = len(trial.books) > 1
    lines = [_line_of_verdict(verdict, several) for verdict in shown]
    if number == 0:
        lines += [f"⚠️ {plain(problem, 120)}" for problem in trial.problems[:3]]
    title = f"{trial.fires:,} of {entries_of(len(trial.verdicts))} would fire"
    embed = discord.Embed(title=title, description="\n".join(lines))
    if number == 0:
        embed.add_field(name="If somebody said", value=plain(text, 300), inline=False)
        books = ", ".join(plain(name, 80) for name in trial.books[:10])
        more = f" and {len(trial.books) - 10} more" if len(trial.books) > 10 else ""
        embed.add_field(name="Lorebooks", value=f"{books}{more}" or "none", inline=False)
    return numbered(embed, number, len(trial.verdicts), VERDICTS_A_PAGE)


def _line_of_verdict(verdict: Verdict, several: bool) -> str:
    title = plain(verdict.title, TITLE_CHARACTERS)
    book = f" ({plain(verdict.book_name, 60)})" if several and verdict.book_name else ""
    why = plain(verdict.why, WHY_CHARACTERS)
    if not verdict.fires:
        return f"⬜ {title}{book}: {why}"
    return f"✅ **{title}**{book}: {why} → {plain(verdict.where, 80)}, {verdict.tokens:,} tokens"
