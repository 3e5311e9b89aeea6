"""What a persona costs of the model's context."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from bot.chat.engines import Engines
from bot.chat.persona import PersonaText
from bot.chat.personas.cards.preview import NOT_ALWAYS, prompt_texts
from bot.errors import EngineError

COUNT_SECONDS = 5.0
COUNTED_CHARACTERS = 40_000  # of one text; a longer one is counted in part
CHARACTERS_A_TOKEN = 4  # in a guess


@dataclass(frozen=True, slots=True)
class Costs:
    """Tokens by field, of those that can enter a prompt; `is_exact`: the model counted them."""

    fields: Mapping[str, int]
    context_tokens: int  # 0 where no model is there yet
    is_exact: bool

    @property
    def always(self) -> int:
        """What stands in every prompt: neither greeting, examples nor lore."""
        return sum(count for field, count in self.fields.items() if field not in NOT_ALWAYS)

    def lines(self) -> str:
        """In words."""
        about = "" if self.is_exact else "about "
        each = [f"{field.replace('_', ' ')} {count:,}" for field, count in self.fields.items()]
        text = f"{about}{self.always:,} tokens in every prompt"
        if self.context_tokens:
            text += f", of the {self.context_tokens:,} that the model takes"
            if self.always * 2 > self.context_tokens:
                text += " ⚠️ that is more than half: little is left for the conversation"
        return text + (f"\n{', '.join(each)}" if each else "")


async def costs_of(engines: Engines, persona: PersonaText) -> Costs:
    """What the fields cost with the model that would answer now; a guess where it can't be asked.

    Of very long texts the beginning is counted.
    """
    texts = prompt_texts(persona)
    try:
        engine = engines.answering()
        info = engine.info
        async with asyncio.timeout(COUNT_SECONDS):
            counts = await engine.count_tokens(
                [text[:COUNTED_CHARACTERS] for text in texts.values()]
            )
    except (EngineError, TimeoutError):
        guess = {field: -(-len(text) // CHARACTERS_A_TOKEN) for field, text in texts.items()}
        return Costs(guess, 0, is_exact=False)
    found = {
        field: round(count * max(1.0, len(text) / COUNTED_CHARACTERS))
        for (field, text), count in zip(texts.items(), counts, strict=True)
    }
    is_whole = all(len(text) <= COUNTED_CHARACTERS for text in texts.values())
    return Costs(found, info.context_tokens, is_exact=info.counts_exactly and is_whole)
