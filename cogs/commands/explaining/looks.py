"""How «Why this reply?» explains a reply in an embed, and in files beside it."""

from collections.abc import Collection, Iterator, Sequence

import discord

from bot.chat.prompt.additions import Additions, LoreNote
from bot.chat.prompt.build import LeftOut
from bot.chat.prompt.recollection import Recollection
from bot.chat.talk.conversations import Explanation, PersonaSince
from bot.chat.talk.faults import line_for_retry
from bot.engine.api import Sampling
from cogs.platform import escaped

DESCRIPTION_CHARACTERS = 2_400  # an embed has room for 6,000 in all
TOLD_CHARACTERS = 500  # of lore or memory in a field; the whole comes as a file


def describe(explanation: Explanation) -> discord.Embed:
    """The prompt's parts, what was left out, and how the text was chosen."""
    prompt = explanation.prompt
    lines = [f"{section.tokens:>6}  {section.name}" for section in explanation.sections]
    lines.append(f"{prompt.tokens:>6}  in all")
    embed = discord.Embed(title="Why this reply?", description=_in_code("tokens", lines))
    if left_out := [_left_out(part) for part in prompt.left_out]:
        embed.add_field(name="Left out", value="\n".join(left_out)[:1024], inline=False)
    for name, notes in _lore(explanation.lore):
        embed.add_field(name=name, value=_within(notes, "lore.txt"), inline=False)
    if remembered := _memory(explanation.memory):
        embed.add_field(name="Memory", value=_within(remembered, "memory.txt"), inline=False)
    record = explanation.record
    if record is not None:
        version = f", version {record.persona_version}" if record.persona_version else ""
        spoke = escaped(record.persona) + version
        embed.add_field(name="Persona", value=spoke[:1024] or "none", inline=False)
        sampling, took = record.sampling, record.statistics
        embed.add_field(name="Model", value=took.model[:1024])
        if record.engine:
            embed.add_field(name="Engine", value=record.engine[:1024])
        embed.add_field(
            name="Chosen with",
            value=f"temperature {sampling.temperature:g}, top_p {sampling.top_p:g}, "
            f"top_k {sampling.top_k}, min_p {sampling.min_p:g}, "
            f"repetition_penalty {sampling.repetition_penalty:g}"
            f"{_samplers(sampling)}, seed {took.seed}",
        )
        if retry := record.occasion.retry if record.occasion is not None else None:
            embed.add_field(name="Written twice", value=line_for_retry(retry), inline=False)
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


def add_origin(embed: discord.Embed, explanation: Explanation) -> None:
    """For moderators: when the reply was written, with which seed, by which settings."""
    record = explanation.record
    if record is None:
        return
    when = discord.utils.format_dt(record.created_at, "F")
    revision = record.settings_revision
    settings = f"settings as of change {revision}" if revision else "no setting was ever changed"
    said = f"{when}, seed {record.statistics.seed}, {settings}"
    embed.add_field(name="Written", value=said, inline=False)


def _samplers(sampling: Sampling) -> str:
    """Those that are off as they come, where they are on."""
    shown: list[str] = []
    if sampling.counts_tokens:
        shown += [
            f"presence_penalty {sampling.presence_penalty:g}",
            f"frequency_penalty {sampling.frequency_penalty:g}",
        ]
    if sampling.dry_multiplier:
        shown.append(
            f"DRY {sampling.dry_multiplier:g} (base {sampling.dry_base:g}, "
            f"from {sampling.dry_allowed_length} tokens)"
        )
    if sampling.xtc_probability:
        shown.append(f"XTC {sampling.xtc_probability:g} (from {sampling.xtc_threshold:g})")
    if sampling.banned_words:
        shown.append(f"{len(sampling.banned_words)} banned words")
    return "".join(f", {each}" for each in shown)


def lore_text(lore: Additions) -> str:
    """All that is to be said of the lore, as a file; "" where there is none."""
    blocks = ("\n".join([f"{name}:", *lines]) for name, lines in _lore(lore))
    return "\n\n".join(blocks)


def memory_text(memory: Recollection) -> str:
    """All that was remembered, as a file; "" where nothing was."""
    return "\n".join(_memory(memory))


def _memory(memory: Recollection) -> list[str]:
    return [f"{note.kind} {note.title} ({note.why})" for note in memory.notes]


def _lore(lore: Additions) -> Iterator[tuple[str, list[str]]]:
    said = (
        ("Lore", [_entry(note) for note in lore.fired]),
        ("Lore left out", [_entry(note) for note in lore.left_out]),
        ("Trouble with lore", list(lore.problems)),
    )
    return ((name, lines) for name, lines in said if lines)


def _entry(note: LoreNote) -> str:
    return f"{note.title} ({note.book}): {note.why}"


def _within(lines: Sequence[str], file: str) -> str:
    """As many of the lines as a field may have, and how many more there are in `file`."""
    shown: list[str] = []
    for line in lines:
        short = escaped(line[:200])
        if sum(map(len, shown)) + len(short) > TOLD_CHARACTERS:
            break
        shown.append(short)
    more = len(lines) - len(shown)
    return "\n".join([*shown, f"… and {more} more, in {file}"] if more else shown)


def what_changed(explanation: Explanation) -> str:
    """What is no longer as it was when the reply was written, "" where nothing is known to be."""
    name = explanation.persona.name
    changed = explanation.changed_since
    match explanation.persona_since:
        case PersonaSince.EDITED if explanation.is_kept_version and changed:
            return (
                f"{name} has been edited since, and the conversation or the settings have changed: "
                f"this is the prompt as it would be now, for {name} as it was."
            )
        case PersonaSince.EDITED if explanation.is_kept_version:
            return f"{name} has been edited since: this is the prompt with the version of then."
        case PersonaSince.GONE:
            return f"The persona is gone: this is the prompt as it would be now, for {name}."
        case PersonaSince.EDITED if changed:
            return f"{name} has been edited since: this is the prompt as it would be now."
        case PersonaSince.EDITED:
            return f"{name} has been edited since, but this prompt is the same."
        case PersonaSince.SAME if changed:
            return (
                "The conversation or the settings have changed since: this is the prompt as it "
                "would be now."
            )
        case PersonaSince.SAME:
            return ""


def mentions(speaker_ids: Collection[str]) -> str:
    """People by their ids; who speaks through a proxy by the name they speak in."""
    shown = [
        f"<@{each}>" if each.isdecimal() else escaped(each.split(":")[-1])
        for each in sorted(speaker_ids)
    ]
    return ", ".join(shown)[:1024] or "somebody whose messages are no longer kept"


def _left_out(part: LeftOut) -> str:
    tokens = "" if part.tokens is None else f", {part.tokens} tokens"
    return f"{part.what} ({part.turns}{tokens}): {part.reason}"


def _in_code(head: str, lines: Sequence[str]) -> str:
    text = "\n".join([head, *lines])[: DESCRIPTION_CHARACTERS - 10]
    return f"```\n{text}\n```"
