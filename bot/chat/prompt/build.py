"""Turns, persona and budget become a prompt: the text, its sections, what was left out."""

import asyncio
import hashlib
from dataclasses import dataclass
from itertools import accumulate, groupby
from operator import itemgetter

from bot.chat.definitions import ChannelSettings
from bot.chat.prompt.budget import MINIMUM_REPLY_TOKENS, Budget, LeftOut
from bot.chat.prompt.counting import Count, CountCache
from bot.chat.prompt.draft import Draft, PromptRequest
from bot.chat.prompt.formats import Thought
from bot.chat.prompt.parts import Part
from bot.engine.api import ChatMessage

DRAFTED_AT_ONCE = 20_000  # characters of a persona's texts; macros in them take about 15 ms
SCREENED_AT_ONCE = 2_000  # the same where a word list is looked for in them: up to 8 ms

__all__ = [
    "MINIMUM_REPLY_TOKENS",
    "LeftOut",
    "Prompt",
    "PromptRequest",
    "Section",
    "build_prompt",
    "window_turns",
]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the prompt. The texts of all sections make the prompt, the tokens its tokens.

    `name` is one of system text, persona, examples, instructions, greeting, history, message,
    reply, or a part's, such as lore, depth prompt and reminder.
    """

    name: str
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the engine is asked, and where every part of it comes from."""

    text: str
    pieces: tuple[tuple[str, str], ...]  # the sections' names and texts, which make the text
    tokens: int  # of the whole text, without the BOS
    stops: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    format_name: str
    speaker: str  # the bot's display name
    others: tuple[str, ...]  # everybody else's, newest first
    names: bool  # lines begin with their speaker's name
    first_turn_id: int | None  # the oldest and the newest turn that it shows
    last_turn_id: int | None
    reply_tokens: int  # reserved for the reply: use it as max_tokens
    messages: tuple[ChatMessage, ...] = ()  # the same in roles, where no text of ours is taken
    thought: Thought | None = None  # which the text ends in; `closes` brings what opens the answer
    thinking_tokens: int = 0  # how many the model may take for thinking, also unasked
    room_tokens: int = 0  # for thought and reply together
    knows_thought: bool = False  # the format says how the model thinks, be it that it does not now
    parts: tuple[Part, ...] = ()  # those that it shows

    @property
    def sha256(self) -> str:
        """Of the text, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    async def sections(self, count: Count) -> tuple[Section, ...]:
        """The pieces with their tokens: differences, so that they add up exactly.

        Counted when somebody asks: the prompt's beginnings are several prompts' worth of text.
        """
        beginnings = list(accumulate(text for _, text in self.pieces))
        ends = (*await count(beginnings[:-1]), self.tokens)
        starts = (0, *ends[:-1])
        return tuple(
            Section(name, text, end - start)
            for (name, text), start, end in zip(self.pieces, starts, ends, strict=True)
        )


def window_turns(settings: ChannelSettings) -> int:
    """How many turns to ask the history for: the earlier ones and the newest."""
    return settings.history_turns + 1


async def build_prompt(
    request: PromptRequest, count: Count, cache: CountCache | None = None
) -> Prompt:
    """Fit the conversation into the model's context.

    The reply's room is reserved first (at most half the context); it gives way, down to
    MINIMUM_REPLY_TOKENS, only when the persona and the newest message need it. Those two are never
    cut; examples go before history, the oldest first. `cache` holds what earlier prompts counted.
    Raises RequestTooLarge when persona and newest message can't fit.
    """
    # A persona may be huge, and hold a macro in every word: the event loop is not to wait for it.
    at_once = SCREENED_AT_ONCE if request.reading else DRAFTED_AT_ONCE
    is_small = _characters(request) <= at_once
    draft = Draft(request) if is_small else await asyncio.to_thread(Draft, request)
    budget = Budget(draft, request)
    cache = CountCache() if cache is None else cache
    counter = cache.counter(request.info, count)
    await budget.measure(counter)
    tokens, choice, text, parts = 0, budget.choose(), "", []
    while not parts or tokens + choice.reply_tokens > budget.context_tokens:
        if parts:  # the whole has more tokens than its parts have together
            budget.tighten(tokens + choice.reply_tokens - budget.context_tokens)
            choice = budget.choose()
        parts = draft.write(choice)
        text = "".join(text for _, text in parts)
        tokens = await counter.whole(text)
    return Prompt(
        text=text,
        pieces=_by_name(parts),
        tokens=tokens,
        stops=draft.stops(choice),
        left_out=budget.left_out(choice),
        format_name=request.format.name,
        speaker=draft.cast.speaker,
        others=draft.others(choice),
        names=draft.writes_names(choice),
        first_turn_id=min(draft.turn_ids(choice), default=None),
        last_turn_id=max(draft.turn_ids(choice), default=None),
        reply_tokens=choice.reply_tokens,
        messages=draft.messages(choice),
        thought=draft.thought,
        thinking_tokens=budget.thinking_tokens if draft.thought else request.thinking_tokens,
        room_tokens=budget.context_tokens + budget.thinking_tokens - tokens,
        knows_thought=request.format.thought is not None,
        parts=tuple(part for at, part in enumerate(draft.parts) if at not in choice.dropped),
    )


def _characters(request: PromptRequest) -> int:
    """Of what is replaced and screened in a draft."""
    persona, parts = request.persona, (*request.parts, *request.lore.parts)
    depth_prompt = persona.depth_prompt.text if persona.depth_prompt else ""
    texts = (
        persona.description, persona.personality, persona.scenario, persona.example_dialogue,
        persona.greeting, persona.system_text, persona.closing_reminder, depth_prompt,
    )  # fmt: skip
    return sum(map(len, (*texts, *persona.stop_words, *(part.text for part in parts))))


def _by_name(parts: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Neighbours of one name as one."""
    return tuple(
        (name, "".join(text for _, text in neighbours))
        for name, neighbours in groupby(parts, key=itemgetter(0))
    )
