"""What a persona says first. A function of a connection, one transaction."""

from collections.abc import Sequence

from sqlalchemy import Connection, insert

from bot.chat.messages import ChannelKey, Speaker, Turn, TurnState
from bot.store.tables import AskerRow, SwipeRow
from bot.store.turns.access import new_bot_turn, read_turn, take_channel, take_conversation


def add_greeting(
    connection: Connection,
    channel: ChannelKey,
    speaker: Speaker,
    texts: Sequence[str],
    *,
    persona: str,
    persona_id: str,
    asked_by: str,
) -> Turn:
    """Append a whole bot's turn with a swipe a text; none of them has a generation."""
    channel_id: int = take_channel(connection, channel).id
    conversation = take_conversation(connection, channel_id)
    turn_id = new_bot_turn(connection, conversation, speaker, persona, persona_id)
    whole = {"turn_id": turn_id, "state": TurnState.WHOLE.value, "run_id": None}
    swipes = [whole | {"position": at, "text": text} for at, text in enumerate(texts)]
    connection.execute(insert(SwipeRow), swipes)
    connection.execute(insert(AskerRow), [{"turn_id": turn_id, "speaker_id": asked_by}])
    return read_turn(connection, turn_id)
