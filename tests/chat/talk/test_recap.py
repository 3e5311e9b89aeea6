"""Recaps: of a scene that is longer than the context, and of one where nothing has happened."""

from datetime import UTC, datetime, timedelta

import pytest
from conversing import HERE, NOON

from bot.chat.engines import Engines
from bot.chat.messages import Speaker, Turn
from bot.chat.prompt.choosing import FormatChooser
from bot.chat.roleplay.scenes.scene import Character, Scene
from bot.chat.talk.recap import MOST_PIECES, Recapper
from bot.engine.api import GenerationRequest, ModelInfo
from bot.engine.fake import FakeEngine
from bot.errors import EngineUnavailable, NotFound

SCENE = Scene(
    channel=HERE,
    title="The light",
    cast=("test:mira",),
    started_by="bob",
    started_at=NOON,
    scenario="A storm comes up.",
    characters={"bob": Character("Kael")},
)


def said(number: int, text: str) -> Turn:
    moment = datetime(2026, 5, 1, 12, tzinfo=UTC) + timedelta(minutes=number)
    return Turn(number, 1, HERE, "user", Speaker("bob", "Bob"), text, moment)


async def recapper(engine: FakeEngine) -> Recapper:
    await engine.start()
    return Recapper(Engines.only(engine), FormatChooser(thinks=False))


async def test_a_long_scene_is_told_piece_by_piece() -> None:
    def script(request: GenerationRequest) -> str:
        return f"Told {len(engine.requests)}."

    engine = FakeEngine(script, info=ModelInfo(name="small", context_tokens=1_400))
    turns = [said(number, f"Line {number}. " + "And on it went. " * 10) for number in range(40)]
    text = await (await recapper(engine)).recap(SCENE, turns, "discord:bob")
    first, *_, last = [request.prompt for request in engine.requests]
    count = len(engine.requests)
    assert 1 < count <= MOST_PIECES
    assert text == f"Told {count}."
    assert "A storm comes up." in first
    assert "Kael: Line 39." in last
    assert f"Told {count - 1}." in last
    assert all(request.user == "discord:bob" for request in engine.requests)


async def test_where_nothing_has_happened_or_nothing_is_written_that_is_said() -> None:
    engine = FakeEngine([""])
    telling = await recapper(engine)
    with pytest.raises(NotFound, match="Nothing has happened"):
        await telling.recap(SCENE, [said(1, " ")], "discord:bob")
    with pytest.raises(EngineUnavailable, match="wrote nothing"):
        await telling.recap(SCENE, [said(1, "Hello")], "discord:bob")
