"""Who is in a prompt, and what each of them said."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bot.chat.messages import HistoryWindow, QuotedMessage, Turn, TurnState
from bot.chat.prompt.transcript import Line
from bot.chat.text.guard import Guard
from bot.chat.text.names import assign_names, clean_name
from bot.chat.text.thinking import without_thoughts

BLOCK_TURNS = 16  # the most turns that go at once when `history_turns` is reached
UNKNOWN_USER = "the user"  # {{user}} while nobody has spoken


@dataclass(frozen=True, slots=True)
class Cast:
    """The lines that may be shown, oldest first, and the names in them."""

    lines: tuple[Line, ...]
    speaker: str  # the bot's name
    user: str  # {{user}}: the author of the newest user's turn
    others: tuple[str, ...]  # everybody else's names, newest first
    humans: int  # how many people speak
    is_from_start: bool  # the conversation's first turn is among the lines

    @property
    def names(self) -> tuple[str, ...]:
        """The bot's name, then everybody else's."""
        return (self.speaker, *self.others)


def read_cast(
    window: HistoryWindow,
    persona_name: str,
    history_turns: int,
    *,
    nickname: str = "",
    reserved_names: Iterable[str] = (),
    players: Container[str] = (),
    guard: Guard,
) -> Cast:
    """The turns of `window` that `history_turns` lets through, with unique display names.

    A persona with a `nickname` is called by that; `players`, by speakers' ids, keep the names of
    their characters, whoever else is called so. Nobody gets the bot's name or one of
    `reserved_names`; `guard` breaks up tokens in names. Where `history_turns` leaves turns out, it
    leaves out whole blocks of them: the prompt's first turn stays the same for many replies, and
    with it the part that the engine has computed already.
    """
    speaker = guard.name(clean_name(nickname or persona_name, clean_name(persona_name)))
    start = _first_position(window, history_turns)
    shown = list(_shown_turns(window, start))
    turns = [each.turn for each in shown]
    bots = {turn.persona: guard.name(clean_name(turn.persona, speaker)) for turn in turns}
    bots[persona_name] = speaker
    people = sorted(_people(turns), key=lambda one: one[0] not in players)
    unique = assign_names(people, taken=(*bots.values(), *reserved_names))
    names = {speaker_id: guard.name(name) for speaker_id, name in unique.items()}
    lines = tuple(_lines(shown, names, bots))
    users = [line.name for line in lines if line.role == "user"]
    everybody = [name for line in reversed(lines) for name in (line.name, line.quote_name)]
    return Cast(
        lines=lines,
        speaker=speaker,
        user=users[-1] if users else UNKNOWN_USER,
        others=tuple(dict.fromkeys(name for name in everybody if name and name != speaker)),
        humans=len(set(users)),
        is_from_start=start == 0,
    )


def _first_position(window: HistoryWindow, history_turns: int) -> int:
    positions = [position for position, _ in window.numbered()]
    if not window.skipped and len(positions) <= history_turns + 1:
        return 0
    if not positions:
        return window.skipped
    earliest = positions[-history_turns - 1 :][0]
    block = 1
    while block < BLOCK_TURNS and block * 8 <= history_turns:
        block *= 2
    return min(-(-earliest // block) * block, positions[-1])


@dataclass(frozen=True, slots=True)
class _Shown:
    """A turn that may be shown."""

    position: int
    older: int
    turn: Turn


def _shown_turns(window: HistoryWindow, start: int) -> Iterator[_Shown]:
    numbered = window.numbered()
    last = numbered[-1][0] if numbered else 0
    for older, (position, turn) in enumerate(numbered, window.skipped):
        is_empty = not turn.text.strip() and turn.reply_to is None and position != last
        if position >= start and turn.state is not TurnState.RUNNING and not is_empty:
            yield _Shown(position, older, turn)


def _people(turns: Sequence[Turn]) -> Iterator[tuple[str, str]]:
    """Ids and raw names of everybody who spoke or is quoted, in order of appearance."""
    for turn in turns:
        if turn.role == "user":
            yield turn.speaker.speaker_id, turn.speaker.name
        if turn.reply_to is not None:
            yield turn.reply_to.author.speaker_id, turn.reply_to.author.name


def _lines(
    shown: Sequence[_Shown], names: Mapping[str, str], bots: Mapping[str, str]
) -> Iterator[Line]:
    for each in shown:
        turn = each.turn
        is_user = turn.role == "user"
        yield Line(
            role=turn.role,
            name=names[turn.speaker.speaker_id] if is_user else bots[turn.persona],
            text=turn.text if is_user else without_thoughts(turn.text),
            position=each.position,
            older=each.older,
            turn=turn,
            quote=turn.reply_to,
            quote_name=_quote_name(turn.reply_to, names, bots) if turn.reply_to else "",
        )


def _quote_name(quote: QuotedMessage, names: Mapping[str, str], bots: Mapping[str, str]) -> str:
    """A quoted bot keeps its name: only the platform can say that somebody is a bot."""
    if quote.author.is_bot and quote.author.name in bots:
        return bots[quote.author.name]
    return names[quote.author.speaker_id]
