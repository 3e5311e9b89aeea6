"""«Why this reply?» on lore: what fired by which key and from which book, what did not and why."""

import asyncio
import json
from pathlib import Path

from worlds import talking

from bot.chat.prompt.additions import Additions, LoreNote
from cogs.commands.explaining.looks import _lore, _within, lore_text

CARD = {
    "spec": "chara_card_v3",
    "spec_version": "3.0",
    "data": {
        "name": "Nessa",
        "description": "{{char}} rows a boat.",
        "group_only_greetings": [],
        "character_book": {
            "name": "The lake",
            "extensions": {},
            "entries": [
                {"keys": ["monster"], "content": "The monster is shy.", "extensions": {},
                 "enabled": True, "insertion_order": 1, "name": "The *monster*"},
                {"keys": ["monster"], "content": "Hunters come.", "enabled": True,
                 "insertion_order": 2, "extensions": {"probability": 0, "useProbability": True},
                 "name": "Hunters"},
            ],
        },
    },
}  # fmt: skip


async def test_why_shows_which_lore_fired_and_which_did_not(tmp_path: Path) -> None:
    async with talking(tmp_path) as world:
        card = world.personas_folder / "nessa.json"
        await asyncio.to_thread(card.write_text, json.dumps(CARD))
        library = world.bot.desk.library
        await library.refresh()
        await world.bob.slash(world.channel, "persona use", name="Nessa")
        await world.ask("Is there a monster?")
        assert "The monster is shy." in world.engine.requests[-1].prompt
        reply = world.messages()[-1]
        result = await world.bob.context_menu(world.channel, "Why this reply?", reply)
        assert result.response is not None
        [embed] = result.response.embeds
        fields = {field.name: field.value or "" for field in embed.fields}
        assert fields["Lore"] == (
            "The \\*monster\\* (The lake): by its keys: «monster» in message 1"
        )
        assert fields["Lore left out"].startswith("Hunters (The lake): chance was against it")
        assert fields["Persona"].startswith("Nessa, version ")
        assert "seed" in fields["Chosen with"]
        files = {file.filename: file for file in result.response.attachments}
        told = (await files["lore.txt"].read()).decode()
        assert "The *monster* (The lake)" in told


def test_much_lore_is_in_the_file_and_counted_in_the_message() -> None:
    notes = tuple(LoreNote(f"Entry {at}", "Book", "by its keys" * 9) for at in range(100))
    lore = Additions(fired=notes, problems=("odd.json is no lorebook.",))
    fields = dict(_lore(lore))
    shown = _within(fields["Lore"], "lore.txt")
    assert len(shown) < 1024
    assert "more, in lore.txt" in shown
    assert all(f"Entry {at} " in lore_text(lore) for at in range(100))
    assert fields["Trouble with lore"] == ["odd.json is no lorebook."]
    assert lore_text(Additions()) == ""
