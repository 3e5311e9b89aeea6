"""Nobody is called by what the bot writes: worlds.py looks at every request of every test."""

from collections.abc import Sized
from pathlib import Path

import pytest
import simcord
import simcord.components
from mentions import callers
from worlds import talking

FLOOD = " ".join(f"<@{900_000_000_000_000_000 + at}>" for at in range(500))
MANY = " ".join(FLOOD.split()[:165])
EVERYBODY = "@everyone @here <@&1> <@2> hello, all of you, wherever you may be just now"


@pytest.mark.parametrize("persona", ["Caduceus", "Ada"])
async def test_a_reply_that_names_everybody_calls_nobody(tmp_path: Path, persona: str) -> None:
    async with talking(tmp_path, [EVERYBODY, f"{FLOOD} {EVERYBODY}"]) as world:
        await world.chief.slash(world.channel, "persona use", name=persona)
        await world.ask("hello")
        await world.alice.click(world.messages()[-1], label="Regenerate")
        await world.alice.slash(world.channel, "chat continue")
        await world.pass_time(5)
        said = [
            entry
            for entry in world.env.http_requests
            if isinstance(entry.json, dict) and "<@" in str(entry.json.get("content"))
        ]
        assert len(said) >= 3
        assert callers(said) == []


async def test_a_flood_of_mentions_is_read_as_names_in_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As members with Nitro may write: simcord lets nobody send more than 2,000 characters.
    monkeypatch.setattr(simcord.components, "len", _short, raising=False)
    async with talking(tmp_path) as world:
        await world.alice.send(world.channel, f"{world.me} {MANY} and?")
        assert world.said() == ["Hello, Alice."]
        asked = [entry for entry in world.env.http_requests if entry.method == "GET"]
        assert len(asked) <= 20  # nobody is looked up one by one
        (turn, _) = await world.turns()
        assert "<@" not in turn.text
        assert turn.text.endswith(" and?")
        await world.alice.send(world.channel, f"{world.me} " + "x" * 3900)
        assert (await world.turns())[2].text == "x" * 3900


def _short(value: Sized) -> int:
    return min(len(value), 2000) if isinstance(value, str) else len(value)


async def test_answers_for_one_person_call_nobody(tmp_path: Path) -> None:
    async with talking(tmp_path, check_errors=False) as world:
        for command, options in (
            ("persona show", {"name": "@everyone"}),
            ("settings set", {"key": "@everyone", "value": "@here"}),
            ("memory add", {"text": EVERYBODY}),
            ("memory show", {}),
            ("chat export", {}),
            ("moderation words", {"action": "add", "pattern": "@everyone"}),
            ("moderation words", {"action": "list"}),
            ("roleplay start", {"title": "@everyone", "persona": "Ada"}),
        ):
            await world.chief.slash(world.channel, command, **options)
        assert callers(world.env.http_requests) == []


def test_a_request_that_calls_is_seen() -> None:
    def entry(path: str, body: object) -> simcord.HttpLogEntry:
        return simcord.HttpLogEntry("POST", path, {}, body, None)

    quiet = {"parse": [], "replied_user": False}
    assert callers([entry("/channels/1/messages", {"content": "x"})])
    assert callers([entry("/channels/1/messages", {"content": "x", "allowed_mentions": {}})])
    assert callers([entry("/interactions/1/a/callback", {"type": 4, "data": {"content": "x"}})])
    assert not callers([entry("/webhooks/1/a", {"content": "x", "allowed_mentions": quiet})])
    text = {"components": [{"type": 17, "components": [{"type": 10, "content": "x"}]}]}
    assert callers([entry("/webhooks/1/a", text)])
    assert not callers([entry("/channels/1/messages", {"embeds": [{"title": "x"}]})])
