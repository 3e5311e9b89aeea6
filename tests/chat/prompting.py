"""Turns, windows and prompts for the tests, in few words."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.chat.definitions import ChannelSettings
from bot.chat.messages import ChannelKey, HistoryWindow, QuotedMessage, Speaker, Turn
from bot.chat.persona import Persona
from bot.chat.prompt.build import Prompt, PromptRequest, build_prompt
from bot.chat.prompt.formats import FORMATS
from bot.chat.prompt.parts import Part
from bot.engine.api import ModelInfo
from bot.engine.fake import tokens_of

CHANNEL = ChannelKey("test", "1")
START = datetime(2026, 1, 1, tzinfo=UTC)
PLAIN = Persona(name="Bo", description="You are {{char}}.")
PLAYED = Persona(
    name="Mira",
    description="{{char}} keeps a lighthouse.",
    personality="dry",
    scenario="A storm. {{user}} knocks.",
    greeting="Come in, {{user}}.",
    example_dialogue="<START>\n{{user}}: Lonely?\n{{char}}: Never.\n<START>\n{{user}}: Soup?\n"
    "{{char}}: On the stove.",
)


async def count(texts: Sequence[str]) -> list[int]:
    """The scripted engine's tokens."""
    return [len(tokens_of(text)) for text in texts]


def said(name: str, text: str, **extra: Any) -> dict[str, Any]:
    """A user's turn; the speaker's id is the name unless `speaker_id` says otherwise."""
    speaker_id = extra.pop("speaker_id", name)
    return {"role": "user", "speaker": Speaker(speaker_id, name), "text": text, **extra}


def answered(text: str, persona: str = "", **extra: Any) -> dict[str, Any]:
    """A bot's turn."""
    speaker = Speaker("bot", "Caduceus", is_bot=True)
    return {"role": "bot", "speaker": speaker, "text": text, "persona": persona, **extra}


def quoting(name: str, text: str, message_id: str = "long ago", **extra: Any) -> QuotedMessage:
    """A replied-to message."""
    return QuotedMessage(message_id, Speaker(extra.pop("speaker_id", name), name, **extra), text)


def window(*turns: dict[str, Any], skipped: int = 0) -> HistoryWindow:
    """A window of these turns; the turn at position p has the id p + 1 and the message "m<p>"."""
    return HistoryWindow(
        1,
        tuple(
            Turn(
                turn_id=position + 1,
                conversation_id=1,
                channel=CHANNEL,
                created_at=START + timedelta(minutes=position),
                **({"message_ids": (f"m{position}",)} | turn),
            )
            for position, turn in enumerate(turns, skipped)
        ),
        skipped,
    )


def request(
    *turns: dict[str, Any],
    prompt_format: str = "alpaca",
    persona: Persona = PLAIN,
    skipped: int = 0,
    context: int = 2048,
    reply: int = 512,
    instructions: str = "",
    history_turns: int = 100,
    info: ModelInfo | None = None,
    reply_so_far: str = "",
    names: bool | None = None,
    parts: tuple[Part, ...] = (),
) -> PromptRequest:
    """A request with what the test is about."""
    return PromptRequest(
        persona=persona,
        window=window(*turns, skipped=skipped),
        settings=ChannelSettings(instructions=instructions, history_turns=history_turns),
        format=FORMATS[prompt_format],
        info=info or ModelInfo("test", context),
        reply_tokens=reply,
        reply_so_far=reply_so_far,
        names=names,
        parts=parts,
    )


async def prompt(*turns: dict[str, Any], **options: Any) -> Prompt:
    """The prompt of :func:`request`, counted as the scripted engine counts."""
    return await build_prompt(request(*turns, **options), count)
