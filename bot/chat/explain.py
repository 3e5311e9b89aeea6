"""«Why this reply?»: the prompt of a turn, rebuilt from the history as it is now."""

from dataclasses import dataclass

from bot.chat.messages import GenerationRecord, Turn
from bot.chat.ports import History
from bot.chat.preparation import Preparer
from bot.chat.prompt import Prompt
from bot.errors import NotFound


@dataclass(frozen=True, slots=True)
class Explanation:
    """«Why this reply?»: the prompt, rebuilt."""

    turn: Turn
    prompt: Prompt
    record: GenerationRecord | None
    changed_since: bool  # the history or the settings are no longer what they were


async def explain(history: History, preparer: Preparer, turn_id: int) -> Explanation:
    """Explain a bot's turn, as its active swipe came to be.

    Raises NotFound, and EngineError or SettingsError when the prompt cannot be built any more.
    """
    turn = await history.turn(turn_id)
    if turn.role != "bot":
        raise NotFound("That is no reply of the bot's.", "Ask about one of its messages.")
    record = await history.generation(turn_id, turn.active_swipe)
    answers = [asked.turn_id for asked in await preparer.questions(turn)]
    prompt = (await preparer.prepare(turn, answers=answers)).prompt
    if record is None:
        return Explanation(turn, prompt, None, changed_since=False)
    if prompt.sha256 != record.prompt_sha256 and record.first_turn_id is not None:
        # Turns older than the prompt's first one may have gone: they were not in it anyway.
        prompt = (await preparer.prepare(turn, first_turn=record.first_turn_id)).prompt
    return Explanation(turn, prompt, record, prompt.sha256 != record.prompt_sha256)
