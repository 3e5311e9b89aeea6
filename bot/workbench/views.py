"""The core's records as the page's JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TypeAlias

from bot.chat.engines import Engines
from bot.chat.messages import GenerationRecord, PastConversation, Scope, Turn
from bot.chat.persona import Persona
from bot.chat.personas.macros import expand_macros
from bot.chat.settings import MODEL, PERSONA, SettingOrigin
from bot.chat.talk.conversations import Explanation
from bot.chat.talk.faults import line_for_retry
from bot.engine.api import FinishReason, GenerationStatistics
from bot.invocation import command

Json: TypeAlias = dict[str, Any]

# What to type for a better model than the embedded one. Made once: it looks at the disk.
SUGGEST = command("model suggest").strip("`")

SNIPPET_CHARACTERS = 120
ORIGINS = {
    None: "",  # Caduceus's own default needs no words
    MODEL: "the model's own",
    PERSONA: "the persona's own",
    Scope.OWNER: "set by the owner for every chat",
    Scope.GUILD: "set for the guild",
    Scope.CHANNEL: "set for this chat",
}
# What concerns several people or Discord means nothing here; the persona has a picker of its own.
NOT_HERE = frozenset(
    {
        *("trigger", "wake_words", "chance", "context", "history_scope", "voice"),
        *("persona", "persona_choice", "persona_chain", "streaming", "buttons", "quiet_hours"),
        *("allowed_roles", "blocked_roles", "answer_bots"),
        *("rate_limit", "channel_rate_limit", "daily_tokens"),
    }
)


def now() -> datetime:
    """The time, aware, UTC."""
    return datetime.now(UTC)


def turn(turn: Turn) -> Json:
    """A turn as the page draws it."""
    return {
        "id": turn.turn_id,
        "role": turn.role,
        "name": turn.speaker.name,
        "text": turn.text,
        "state": turn.state.value,
        "at_limit": _ended_at_limit(turn),
        "at": turn.created_at.isoformat(),
        "swipes": len(turn.swipes),
        "swipe": turn.active_swipe,
    }


def _ended_at_limit(turn: Turn) -> bool:
    """Whether the text that is shown ends where the longest reply does."""
    shown = (swipe for swipe in turn.swipes if swipe.index == turn.active_swipe)
    return any(swipe.finish is FinishReason.LENGTH for swipe in shown)


def persona(persona: Persona, *, user: str) -> Json:
    """A persona as the page shows it to somebody."""
    return {
        "id": persona.id,
        "name": persona.name,
        "summary": persona.summary,
        "description": expand_macros(persona.description, char=persona.name, user=user),
    }


def engine(engines: Engines) -> Json:
    """What the page says about the engine that answers now, and about those beside it."""
    standings = engines.standings()
    answering = next(one for one in standings if one.answers)
    status = answering.status
    return {
        "name": answering.name,
        "is_fallback": answering is not standings[0],
        "others": [
            {
                "name": one.name,
                "state": one.status.state.value,
                "model": one.status.model,
                "wait": round(one.status.expected_wait_seconds),
                "error": one.status.last_error,
            }
            for one in standings
            if not one.answers
        ],
        "state": status.state.value,
        "model": status.model,
        "device": status.device,
        "kernel": status.kernel,
        "format": answering.written_in.format,
        "problem": answering.written_in.problem,
        "running": status.running,
        "waiting": status.waiting,
        "wait": round(status.expected_wait_seconds),
        "error": status.last_error,
        "activity": status.activity,
        "progress": status.progress,
        "starting": round(status.starting_seconds),
        "suggest": SUGGEST,
    }


def chat(chat_id: str, persona_name: str, newest: Turn | None) -> Json:
    """A line of the list of chats."""
    return {
        "id": chat_id,
        "persona": persona_name,
        "snippet": _snippet(newest) if newest else "",
        "at": newest.created_at.isoformat() if newest else None,
    }


def conversation(past: PastConversation) -> Json:
    """A line of the list of a chat's conversations."""
    return {
        "id": past.conversation_id,
        "is_current": past.is_current,
        "turns": past.turns,
        "snippet": _snippet(past.first),
        "at": past.newest_at.isoformat(),
    }


def _snippet(turn: Turn) -> str:
    return " ".join(turn.text[:SNIPPET_CHARACTERS].split())


def setting(origin: SettingOrigin) -> Json:
    """A setting with all that its control needs."""
    definition = origin.definition
    return {
        "key": definition.key,
        "kind": definition.kind,
        "help": definition.help,
        "range": definition.range_text,
        "choices": definition.choices,
        "minimum": definition.minimum,
        "maximum": definition.maximum,
        "above_minimum": definition.above_minimum,
        "value": origin.shown if definition.kind in ("words", "persona") else origin.value,
        "default": definition.show(definition.default),
        "is_set": origin.origin is Scope.CHANNEL,
        "origin": ORIGINS[origin.origin],
    }


def settings(origins: Sequence[SettingOrigin]) -> list[Json]:
    """The settings that mean something here."""
    return [setting(origin) for origin in origins if origin.definition.key not in NOT_HERE]


def speed(statistics: GenerationStatistics | None) -> Json | None:
    """The two numbers that people feel."""
    if statistics is None:
        return None
    return {
        "tokens_per_second": round(statistics.tokens_per_second, 1),
        "first_token_seconds": round(statistics.first_token_seconds, 2),
    }


def explanation(why: Explanation) -> Json:
    """«Why this reply?»."""
    prompt = why.prompt
    return {
        "changed_since": why.changed_since,
        "persona": why.persona.name,
        "persona_since": why.persona_since.value,
        "kept_version": why.is_kept_version,
        "missing_engine": why.missing_engine,
        "format": prompt.format_name,
        "text": prompt.text,
        "tokens": prompt.tokens,
        "stops": prompt.stops,
        "sections": [
            {"name": section.name, "text": section.text, "tokens": section.tokens}
            for section in why.sections
        ],
        "left_out": [
            {
                "what": left.what,
                "turns": left.turns,
                "tokens": left.tokens,
                "reason": left.reason.value,
            }
            for left in prompt.left_out
        ],
        "lore": {
            "fired": [asdict(note) for note in why.lore.fired],
            "left_out": [asdict(note) for note in why.lore.left_out],
            "problems": list(why.lore.problems),
        },
        "memory": [asdict(note) for note in why.memory.notes],
        "record": _record(why.record) if why.record else None,
    }


def _record(record: GenerationRecord) -> Json:
    statistics = record.statistics
    retry = record.occasion.retry if record.occasion else None
    return {
        "at": record.created_at.isoformat(),
        "persona": record.persona,
        "persona_version": record.persona_version,
        "engine": record.engine,
        "finish": record.finish.value,
        "prompt_sha256": record.prompt_sha256,
        "retry": line_for_retry(retry) if retry else "",
        "sampling": asdict(record.sampling) | {"seed": str(statistics.seed)},
        "statistics": {
            "model": statistics.model,
            "prompt_tokens": statistics.prompt_tokens,
            "cached_prompt_tokens": statistics.cached_prompt_tokens,
            "reply_tokens": statistics.reply_tokens,
            "thinking_tokens": statistics.thinking_tokens,
            "queued_seconds": statistics.queued_seconds,
            "total_seconds": statistics.total_seconds,
            **(speed(statistics) or {}),
        },
    }


def exported(chat_id: str, turns: Sequence[Turn]) -> Json:
    """A conversation as a file to keep: all swipes too."""
    return {
        "chat": chat_id,
        "exported_at": now().isoformat(timespec="seconds"),
        "turns": [turn(one) | {"swipes": [swipe.text for swipe in one.swipes]} for one in turns],
    }


def transcript(turns: Sequence[Turn]) -> str:
    """A conversation as plain text to read."""
    return "\n".join(f"{one.speaker.name}: {one.text}\n" for one in turns)


def problems(found: Mapping[str, str]) -> list[Json]:
    """Persona files that cannot be used."""
    return [{"file": name, "problem": problem} for name, problem in found.items()]
