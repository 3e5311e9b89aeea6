"""A prompt in the making: everything that may stand in it, and how a choice of it is written."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter

from bot.chat.definitions import ChannelSettings
from bot.chat.messages import HistoryWindow
from bot.chat.persona import Persona
from bot.chat.personas.macro_values import local
from bot.chat.personas.macros import MacroContext, Macros
from bot.chat.prompt.additions import NOTHING, Additions, Occasion
from bot.chat.prompt.cast import Cast, read_cast
from bot.chat.prompt.formats import PromptFormat, Thought
from bot.chat.prompt.parts import Part, Place, turn_order
from bot.chat.prompt.reading import AS_IT_IS, Reading
from bot.chat.prompt.staging import NO_SCENE, Staging
from bot.chat.prompt.system import is_character, persona_parts, stop_words
from bot.chat.prompt.transcript import Line, Transcript
from bot.chat.text.guard import BREAK, Guard
from bot.chat.text.names import clean_name
from bot.engine.api import ChatMessage, ModelInfo

CHAT_BEGINS = "[The conversation begins.]"
GO_ON = "[Go on exactly where this stops, without repeating any of it.]"
STOP_SPEAKERS = 32  # speakers whose lines are stops, the newest ones


@dataclass(frozen=True, slots=True)
class PromptRequest:
    """What a prompt is made of.

    `window` ends with the newest message. `reply_tokens` is the longest reply wanted.
    `reply_so_far` is the beginning of a reply that goes on. `names` None: the format decides
    whether lines begin with their speaker's name. `parts` and `lore` stand beside the persona's
    own.
    """

    persona: Persona
    window: HistoryWindow
    settings: ChannelSettings
    format: PromptFormat
    info: ModelInfo
    reply_tokens: int
    reply_so_far: str = ""
    names: bool | None = None
    parts: tuple[Part, ...] = ()
    thinking_tokens: int = 0  # what the model may take for thinking before it answers
    lore: Additions = NOTHING
    occasion: Occasion = field(default_factory=Occasion)
    staging: Staging = NO_SCENE  # its parts are among `parts`, its characters speak in `window`
    # What of all but the `window`, which is read already, may stand in the prompt.
    reading: Reading = AS_IT_IS


@dataclass(frozen=True, slots=True)
class Choice:
    """What is shown: lines from `start` on, all parts but those `dropped`, the newest's quote."""

    start: int
    dropped: frozenset[int]  # indexes of parts
    reply_tokens: int
    newest_quote: bool = True
    # Of those dropped: without room in their own budgets, and repeating what is shown.
    over_budget: frozenset[int] = frozenset()
    repeated: frozenset[int] = frozenset()


class Draft:
    """Holds the guarded texts. The last line is the newest message; there may be none."""

    def __init__(self, request: PromptRequest) -> None:
        """Names, roles and quotes are settled here; texts are guarded when they are written."""
        request = _called(request)
        self._format = request.format
        self._info = request.info
        special = (*request.info.special_tokens, request.info.eos_token, request.info.bos_token)
        guard = Guard(self._format.headers, [token for token in special if token])
        # Who is there, whether or not they have spoken, personas and people's characters: nobody
        # else is called so, and nobody speaks for them.
        there = (*request.occasion.others, *request.staging.silent(request.window))
        self._beside = tuple(guard.name(clean_name(name)) for name in there)
        self.cast: Cast = read_cast(
            request.window,
            request.persona.name,
            request.settings.history_turns,
            nickname=request.persona.nickname,
            reserved_names=(*self._format.reserved_names, *self._beside),
            players=request.staging.players,
            guard=guard,
        )
        names = (*self.cast.names, *self._beside, *self._format.reserved_names)
        self._guard = guard.with_names(names)
        self._guard_of_trusted = guard  # whose system text may hold speakers' lines
        context = _macro_context(request, self.cast)
        self._macros = Macros(context)
        parts = sorted(self._all_parts(request), key=lambda part: part.place)
        self.parts = tuple(_read(part, request.reading) for part in parts)
        self._texts = [
            guard.text(part.text) if part.is_trusted else self._guard.message(part.text)
            for part in self.parts
        ]
        self.lines = self.cast.lines
        self._stop_words = stop_words(request.persona, self._macros)
        greeting = _unsaid_greeting(request, self.cast, context)
        if greeting := request.reading.card(greeting):
            self.lines = (Line("bot", self.cast.speaker, greeting), *self.lines)
        self._names = self._wants_names(request)
        self._transcript = Transcript(self._format, self._guard, names=self._names)
        self._reply_so_far = request.reply_so_far
        self._thinks = request.thinking_tokens > 0 and not request.reply_so_far.strip()
        self.reply = self._reply(self.lines)
        self._targets = tuple(_quoted_lines(self.lines))

    def core(self) -> str:
        """The system text without what can be dropped."""
        droppable = [index for index, part in enumerate(self.parts) if part.is_droppable]
        return "".join(text for _, text in self._system(droppable))

    def part(self, index: int) -> str:
        """A part with what parts it from the text before, but without its heading."""
        part = self.parts[index]
        if part.place.is_system:
            return f"{part.joint}{self._texts[index]}"
        return self._transcript.write([_line_of(part)], 0)

    def line(self, index: int, *, start: int, quote: bool) -> str:
        """A line as it is written when the lines from `start` on are shown."""
        return self._transcript.write(self.lines, index, first=index == start, quotes=quote)

    def wants_quote(self, index: int, start: int) -> bool:
        """Whether a line replies to anything but the line shown directly before it."""
        target = self._targets[index] if self._targets else None
        return target is not None and (target < start or target != index - 1)

    def write(self, choice: Choice) -> list[tuple[str, str]]:
        """Sections' names and texts, in order; history comes in several."""
        pieces = self._system(choice.dropped)
        shown = list(self._shown(choice))
        lines = [line for line, _ in shown]
        written = "".join(text for _, text in pieces)
        for at, (line, quote) in enumerate(shown):
            is_newest = line.turn is not None and line is self.lines[-1]
            name = line.part or ("message" if is_newest else "history" if line.turn else "greeting")
            text = self._transcript.write(lines, at, first=at == 0, quotes=quote, preceding=written)
            pieces.append((name, text))
            written += text
        pieces.append(("reply", self._reply(lines)))
        return pieces

    def messages(self, choice: Choice) -> tuple[ChatMessage, ...]:
        """The same as :meth:`write`, in roles instead of a format: for who takes nothing else.

        After the system text people and bot take turns, beginning with people, as most models'
        templates demand. A beginning that the reply has already is a message of its own.
        """
        system = self._format.system
        text = "".join(text for _, text in self._system(choice.dropped))
        text = text.removeprefix(system.before).removesuffix(system.after).strip()
        lines = [self._transcript.message(line, quotes=q) for line, q in self._shown(choice)]
        if so_far := self._guard.message(self._reply_so_far).strip():
            lines += [("bot", so_far), ("user", GO_ON)]
        if not lines or lines[0][0] == "bot":
            lines.insert(0, ("user", CHAT_BEGINS))
        messages = [ChatMessage("system", text)] if text else []
        for role, turns in groupby(lines, key=itemgetter(0)):
            said = "\n".join(turn for _, turn in turns)
            messages.append(ChatMessage("assistant" if role == "bot" else "user", said))
        return tuple(messages)

    def others(self, choice: Choice) -> tuple[str, ...]:
        """Everybody but the bot who speaks or is quoted in what is shown, newest first."""
        shown = reversed(self.lines[choice.start :])
        names = [name for line in shown for name in (line.name, line.quote_name)]
        names += self._beside
        return tuple(dict.fromkeys(name for name in names if name and name != self.cast.speaker))

    def writes_names(self, choice: Choice) -> bool:
        """Whether lines begin with their speaker's name, be it in the examples alone."""
        shown = (
            self._texts[index]
            for index, part in enumerate(self.parts)
            if part.place is Place.EXAMPLES and index not in choice.dropped
        )
        labels = tuple(f"{name}:" for name in (self.cast.speaker, self.cast.user))
        lines = (line.strip() for example in shown for line in example.split("\n"))
        return self._names or any(line.startswith(labels) for line in lines)

    def stops(self, choice: Choice) -> tuple[str, ...]:
        """The format's headers, other speakers' lines, and the end of sequence spelled out.

        Without names in the prompt, «Alex: 3 points» is no line of Alex's.
        """
        speakers = self.others(choice)[:STOP_SPEAKERS] if self.writes_names(choice) else ()
        lines = (f"\n{name}:" for name in speakers)
        stops = (*self._format.stops, *lines, *self._stop_words, self._info.eos_token)
        return tuple(dict.fromkeys(stop for stop in stops if stop))

    def turn_ids(self, choice: Choice) -> list[int]:
        """The turns that are shown."""
        return [line.turn.turn_id for line in self.lines[choice.start :] if line.turn]

    def _all_parts(self, request: PromptRequest) -> Iterator[Part]:
        yield from (
            part
            for part in persona_parts(
                request.persona,
                self._macros,
                char=self.cast.speaker,
                instructions=request.settings.instructions,
                silenced=request.lore.silenced,
                staging=request.staging,
            )
            if part.text
        )
        for part in (*request.parts, *request.lore.parts):
            text = part.text.strip()
            if text := self._macros.expand(text).strip() if part.is_trusted else text:
                yield replace(part, text=text)

    def _system(self, dropped: Collection[int]) -> list[tuple[str, str]]:
        pieces: list[tuple[str, str]] = []
        written = self._format.system.before
        before: Part | None = None
        for index, part in enumerate(self.parts):
            if index in dropped or not part.place.is_system:
                continue
            text = self._texts[index]
            if before is None:
                lead = written
            elif (part.name, part.heading) == (before.name, before.heading):
                lead = part.joint
            else:
                lead = "\n\n" + (part.heading and part.heading + part.joint)
            guard = self._guard_of_trusted if part.is_trusted else self._guard
            if before is not None and guard.forms_boundary(written + lead, text):
                text = BREAK + text
            pieces.append((part.name, lead + text))
            written += lead + text
            before = part
        if not pieces:  # a persona may say nothing but at a depth
            return [("persona", written + self._format.system.after)] if written else []
        name, last = pieces[-1]
        pieces[-1] = name, last + self._format.system.after
        return pieces

    def _shown(self, choice: Choice) -> Iterator[tuple[Line, bool]]:
        """The turns and the parts among them, in order, each with whether its quote is shown."""
        parts = sorted(
            (
                part
                for index, part in enumerate(self.parts)
                if not part.place.is_system and index not in choice.dropped
            ),
            key=turn_order,
        )
        end = len(self.lines)
        for index in range(choice.start, end):
            while parts and -turn_order(parts[0])[0] >= end - index:
                yield _line_of(parts.pop(0)), False
            quote = self.wants_quote(index, choice.start)
            if index == end - 1 and self.lines[index].turn:
                quote = quote and choice.newest_quote
            yield self.lines[index], quote
        for part in parts:
            yield _line_of(part), False

    @property
    def thought(self) -> Thought | None:
        """The thought that the prompt ends in; what closes it brings what opens the answer.

        A reply that goes on is not thought about again.
        """
        thought = self._format.thought
        if thought is None or not self._thinks:
            return None
        closes = self._transcript.opens_answer(thought.closes, self.cast.speaker, "")
        return replace(thought, closes=closes)

    def _reply(self, lines: Sequence[Line]) -> str:
        so_far = self._reply_so_far
        return self._transcript.reply(lines, self.cast.speaker, so_far, thinks=self._thinks)

    def _wants_names(self, request: PromptRequest) -> bool:
        if request.names is not None:
            return request.names
        wish = self._format.names
        is_played = request.staging.is_scene or is_character(request.persona)
        # What another persona said would else stand there as this one's own words.
        bots = {line.name for line in self.lines if line.role == "bot"} | {self.cast.speaker}
        are_several = self.cast.humans > 1 or len(bots) > 1 or bool(self._beside)
        return wish == "always" or (wish == "character" and is_played) or are_several


def _called(request: PromptRequest) -> PromptRequest:
    """With personas' names as they may stand."""
    card, persona, occasion = request.reading.card, request.persona, request.occasion
    others = tuple(map(card, occasion.others))
    if others != occasion.others:
        request = replace(request, occasion=replace(occasion, others=others))
    names = {"name": card(persona.name), "nickname": card(persona.nickname)}
    if names != {"name": persona.name, "nickname": persona.nickname}:
        request = replace(request, persona=persona.model_copy(update=names))
    return request


def _read(part: Part, reading: Reading) -> Part:
    """A part with its macros replaced, as it may stand: what they join may be a word."""
    return part.masked(reading.card if part.is_trusted else reading.said)


def _macro_context(request: PromptRequest, cast: Cast) -> MacroContext:
    occasion, turns = request.occasion, request.window.turns
    spoke = [turn.created_at for turn in turns[:-1] if turn.role == "user"]
    return MacroContext(
        cast.speaker,
        cast.user,
        persona=request.persona,
        others=tuple(clean_name(name) for name in occasion.others),
        user_description=request.staging.description_of_user(request.window),
        conversation=str(request.window.conversation_id),
        seed=occasion.seed,
        moment=local(occasion.moment) if occasion.moment else None,
        idle=occasion.moment - spoke[-1] if occasion.moment and spoke else None,
        outlets=request.lore.outlets,
    )


def _unsaid_greeting(request: PromptRequest, cast: Cast, context: MacroContext) -> str:
    """The greeting where nobody has said it: as it would have been, the same for every reply."""
    greeting = request.persona.greeting.strip()
    turns = request.window.turns
    was_said = any(turn.is_greeting and turn.persona == request.persona.name for turn in turns)
    if not greeting or not cast.is_from_start or was_said:
        return ""
    if cast.lines and cast.lines[0].role == "bot":
        return ""
    moment = local(turns[0].created_at) if turns and context.moment else context.moment
    began = replace(context, seed=request.window.conversation_id, moment=moment, idle=None)
    return Macros(began).expand(greeting).strip()


def _line_of(part: Part) -> Line:
    return Line(part.role, "", part.text, part=part.name)


def _quoted_lines(lines: Sequence[Line]) -> Iterator[int | None]:
    """For each line: which earlier line it replies to, -1 for an older one, None for none."""
    seen: dict[str, int] = {}
    for index, line in enumerate(lines):
        yield None if line.quote is None else seen.get(line.quote.message_id, -1)
        for message_id in line.turn.message_ids if line.turn else ():
            seen[message_id] = index
