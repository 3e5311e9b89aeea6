"""A prompt in the making: everything that may stand in it, and how a choice of it is written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bot.chat.messages import HistoryWindow
from bot.chat.persona import Persona
from bot.chat.prompt.cast import Cast, read_cast
from bot.chat.prompt.formats import PromptFormat
from bot.chat.prompt.system import is_character, system_text
from bot.chat.prompt.transcript import Line, Transcript
from bot.chat.settings import ChannelSettings
from bot.chat.text.guard import Guard
from bot.engine.api import ModelInfo

STOP_SPEAKERS = 32  # speakers whose lines are stops, the newest ones


@dataclass(frozen=True, slots=True)
class PromptRequest:
    """What a prompt is made of.

    `window` ends with the newest message. `reply_tokens` is the longest reply wanted.
    `reply_so_far` is the beginning of a reply that goes on. `names` None: the format decides
    whether lines begin with their speaker's name.
    """

    persona: Persona
    window: HistoryWindow
    settings: ChannelSettings
    format: PromptFormat
    info: ModelInfo
    reply_tokens: int
    reply_so_far: str = ""
    names: bool | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """What is shown: lines from `start` on, the last `examples` examples, the newest's quote."""

    start: int
    examples: int
    reply_tokens: int
    newest_quote: bool = True


class Draft:
    """Holds the guarded texts. The last line is the newest message; there may be none."""

    def __init__(self, request: PromptRequest) -> None:
        """Names, roles and quotes are settled here; texts are guarded when they are written."""
        self._format = request.format
        self._info = request.info
        special = (*request.info.special_tokens, request.info.eos_token, request.info.bos_token)
        guard = Guard(self._format.headers, [token for token in special if token])
        self.cast: Cast = read_cast(
            request.window,
            request.persona.name,
            request.settings.history_turns,
            reserved_names=self._format.reserved_names,
            guard=guard,
        )
        system = system_text(
            request.persona,
            char=self.cast.speaker,
            user=self.cast.user,
            instructions=request.settings.instructions,
        )
        self._persona = guard.text(system.persona)
        self._instructions = guard.text(system.instructions)
        self.examples = tuple(guard.text(example) for example in system.examples)
        self.lines = self.cast.lines
        if system.greeting and self.cast.is_from_start:
            self.lines = (Line("bot", self.cast.speaker, system.greeting), *self.lines)
        names = (self.cast.speaker, *self.cast.others, *self._format.reserved_names)
        self._transcript = Transcript(
            self._format, guard.with_names(names), names=self._wants_names(request)
        )
        self.reply = self._transcript.reply(self.lines, self.cast.speaker, request.reply_so_far)
        self._targets = tuple(_quoted_lines(self.lines))

    def core(self) -> str:
        """The system text without examples."""
        return "".join(text for _, text in self._system(()))

    def example(self, index: int) -> str:
        """An example with what parts it from the text before."""
        return f"\n\n{self.examples[index]}"

    @property
    def examples_heading(self) -> str:
        """Stands before the first example."""
        return f"\n\nExamples of how {self.cast.speaker} talks:"

    def line(self, index: int, *, start: int, quote: bool) -> str:
        """A line as it is written when the lines from `start` on are shown."""
        return self._transcript.write(self.lines, index, first=index == start, quotes=quote)

    def wants_quote(self, index: int, start: int) -> bool:
        """Whether a line replies to anything but the line shown directly before it."""
        target = self._targets[index] if self._targets else None
        return target is not None and (target < start or target != index - 1)

    def write(self, choice: Choice) -> list[tuple[str, str]]:
        """Sections' names and texts, in order; history comes in several."""
        parts = list(self._system(self.examples[len(self.examples) - choice.examples :]))
        newest = len(self.lines) - 1
        for index in range(choice.start, len(self.lines)):
            line = self.lines[index]
            name = "history" if line.turn else "greeting"
            quote = self.wants_quote(index, choice.start)
            if index == newest and line.turn:
                name, quote = "message", quote and choice.newest_quote
            parts.append((name, self.line(index, start=choice.start, quote=quote)))
        parts.append(("reply", self.reply))
        return parts

    def others(self, choice: Choice) -> tuple[str, ...]:
        """Everybody but the bot who speaks or is quoted in what is shown, newest first."""
        shown = reversed(self.lines[choice.start :])
        names = (name for line in shown for name in (line.name, line.quote_name))
        return tuple(dict.fromkeys(name for name in names if name and name != self.cast.speaker))

    def stops(self, choice: Choice) -> tuple[str, ...]:
        """The format's headers, other speakers' lines, and the end of sequence spelled out."""
        lines = (f"\n{name}:" for name in self.others(choice)[:STOP_SPEAKERS])
        stops = (*self._format.stops, *lines, self._info.eos_token)
        return tuple(dict.fromkeys(stop for stop in stops if stop))

    def turn_ids(self, choice: Choice) -> list[int]:
        """The turns that are shown."""
        return [line.turn.turn_id for line in self.lines[choice.start :] if line.turn]

    def _system(self, examples: Sequence[str]) -> Iterator[tuple[str, str]]:
        parts = [("persona", self._format.system.before + self._persona)]
        if examples:
            blocks = "".join(f"\n\n{example}" for example in examples)
            parts.append(("examples", self.examples_heading + blocks))
        if self._instructions:
            parts.append(("instructions", f"\n\n{self._instructions}"))
        yield from parts[:-1]
        name, text = parts[-1]
        yield name, text + self._format.system.after

    def _wants_names(self, request: PromptRequest) -> bool:
        if request.names is not None:
            return request.names
        wish = self._format.names
        is_played = wish == "character" and is_character(request.persona)
        return wish == "always" or is_played or self.cast.humans > 1


def _quoted_lines(lines: Sequence[Line]) -> Iterator[int | None]:
    """For each line: which earlier line it replies to, -1 for an older one, None for none."""
    seen: dict[str, int] = {}
    for index, line in enumerate(lines):
        yield None if line.quote is None else seen.get(line.quote.message_id, -1)
        for message_id in line.turn.message_ids if line.turn else ():
            seen[message_id] = index
