"""What a message holds besides its text, as words: embeds, polls, stickers, names of files."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import discord
from discord.components import Container, SectionComponent, TextDisplay

EMBEDS = 10  # Discord's most
EMBED_CHARACTERS = 3_000
PREVIEW_CHARACTERS = 500  # of what Discord shows of a link
NAME_CHARACTERS = 120
ALT_CHARACTERS = 1_024  # Discord's most

Words = Callable[[str], str]  # Discord's markup to words


def one_line(text: str, characters: int = NAME_CHARACTERS) -> str:
    """A name or title on one line, not longer than that."""
    return clip(" ".join(text[: 4 * characters].split()), characters)


def clip(text: str, characters: int) -> str:
    """`text`, with "…" for what goes beyond so many characters."""
    return text if len(text) <= characters else text[: max(characters - 1, 0)].rstrip() + "…"


def described(attachment: discord.Attachment) -> str:
    """A file by its name and its description (alt text)."""
    name = one_line(attachment.filename)
    if attachment.is_voice_message():
        return f"[voice message: {round(attachment.duration or 0)} seconds]"
    if attachment.description:
        name += f" — {one_line(attachment.description, ALT_CHARACTERS)}"
    return f"[attachment: {name}]"


def sticker_lines(stickers: Sequence[discord.StickerItem]) -> list[str]:
    """Stickers by their names."""
    return [f"[sticker: {one_line(sticker.name)}]" for sticker in stickers]


def poll_line(poll: discord.Poll, words: Words) -> str:
    """A poll's question and answers, with the votes as far as they are known."""
    total = poll.total_votes
    answers = (
        f"{words(answer.text)} ({answer.vote_count} of {total} votes)"
        if total
        else words(answer.text)
        for answer in poll.answers
    )
    return f"[poll: {words(poll.question)} {', '.join(answers)}]"


def embed_lines(embeds: Iterable[discord.Embed], words: Words) -> list[str]:
    """Embeds in their own words. Nothing that they link to is ever fetched."""
    found = (_embed(embed, words) for embed in list(embeds)[:EMBEDS])
    return [text for text in found if text]


def component_lines(components: Iterable[object], words: Words) -> list[str]:
    """The texts of a message that is made of components."""
    texts = [words(text) for text in _component_texts(components, depth=0)]
    return [text for text in texts if text]


def _embed(embed: discord.Embed, words: Words) -> str:
    title = words(embed.title or "")
    description = words(embed.description or "")
    if embed.type != "rich":
        parts = (embed.provider.name or "", title, description)
        preview = " — ".join(one_line(part, PREVIEW_CHARACTERS) for part in parts if part)
        return f"[link preview: {clip(preview, PREVIEW_CHARACTERS)}]" if preview else ""
    fields = (f"{words(field.name or '')}: {words(field.value or '')}" for field in embed.fields)
    parts = (words(embed.author.name or ""), title, description, *fields)
    text = "\n".join(part for part in (*parts, words(embed.footer.text or "")) if part)
    return f"[embed]\n{clip(text, EMBED_CHARACTERS)}" if text else ""


def _component_texts(components: Iterable[object], depth: int) -> Iterator[str]:
    for component in components:
        if isinstance(component, TextDisplay):
            yield component.content
        elif depth < 4 and isinstance(component, Container | SectionComponent):
            yield from _component_texts(component.children, depth + 1)
