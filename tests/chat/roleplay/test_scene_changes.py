"""Changes of scenes and their transcripts: limits, refusals that say what to do, hostile texts."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.chat.messages import ChannelKey, Speaker, Swipe, Turn
from bot.chat.roleplay.scenes import changes
from bot.chat.roleplay.scenes.scene import (
    MOST_CHARACTERS,
    MOST_DEPTH,
    MOST_PERSONAS,
    NOTE_CHARACTERS,
    TITLE_CHARACTERS,
    Character,
    Scene,
)
from bot.chat.roleplay.scenes.staging import staging_of
from bot.chat.roleplay.scenes.transcript import as_json, as_markdown
from bot.errors import NotAllowed, NotFound

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
HERE = ChannelKey("discord", "100")
SCENE = Scene(HERE, "The light", ("mira",), "bob", NOON)


def test_a_cast_has_from_one_to_many() -> None:
    scene = changes.with_persona(SCENE, "bram", "Bram")
    assert scene.cast == ("mira", "bram")
    assert changes.without_persona(scene, "mira", "Mira").cast == ("bram",)
    with pytest.raises(NotAllowed, match="Add another one first"):
        changes.without_persona(SCENE, "mira", "Mira")
    with pytest.raises(NotFound, match="Bram does not play"):
        changes.without_persona(SCENE, "bram", "Bram")
    with pytest.raises(NotAllowed, match="Mira is the last one"):
        changes.without_persona(scene, "mira", "Mira", there=["mira"])
    assert changes.without_persona(scene, "bram", "bram", there=["mira"]).cast == ("mira",)
    full = replace(SCENE, cast=tuple(map(str, range(MOST_PERSONAS))))
    with pytest.raises(NotAllowed, match="limit"):
        changes.with_persona(full, "bram", "Bram")


def test_names_are_unique_whatever_their_case_and_width() -> None:
    scene = changes.with_character(SCENE, "bob", "  Kael\n", " A smith. ", ["Mira"])
    assert scene.characters == {"bob": Character("Kael", "A smith.")}
    assert changes.with_character(scene, "bob", "kael", "", ["Mira"]).characters["bob"].name
    alike = ("KAEL", "\uff2b\uff41\uff45\uff4c", "mira", "Mira:", "**Mira**", "M i r a", "mi-ra!")
    for name in alike:
        with pytest.raises(NotAllowed, match="another name"):
            changes.with_character(scene, "ann", name, "", ["Mira"])
    with pytest.raises(NotAllowed, match="letters"):
        changes.with_character(scene, "ann", "\u200b", "", [])
    fox = changes.with_character(scene, "ann", "\U0001f98a:", "", ["Mira"]).characters["ann"]
    assert fox.name == "\U0001f98a"
    for names in (("KAEL", ""), ("Nessa", "Kael")):
        with pytest.raises(NotAllowed, match="A player is called"):
            changes.with_persona(scene, "nessa", *names)
    crowd = {str(at): Character(f"C{at}") for at in range(MOST_CHARACTERS)}
    with pytest.raises(NotAllowed, match="limit"):
        changes.with_character(replace(SCENE, characters=crowd), "bob", "Kael", "", [])
    assert changes.without_character(scene, "bob").characters == {}
    with pytest.raises(NotFound, match="nobody"):
        changes.without_character(scene, "ann")


def test_texts_have_limits() -> None:
    assert changes.clean_title("  The\nlight ") == "The light"
    assert changes.clean_title("\u202eThe\0 light\ud800") == "The light"
    assert changes.clean_title("\U0001f98a") == "\U0001f98a"
    for nothing in ("", "\u200b", " \u2014 ", "***"):
        with pytest.raises(NotAllowed, match="title"):
            changes.clean_title(nothing)
    assert len(changes.clean_title("x" * 500)) == TITLE_CHARACTERS
    with pytest.raises(NotAllowed, match="Shorten"):
        changes.with_note(SCENE, "x" * (NOTE_CHARACTERS + 1), 4)
    for depth in (-1, MOST_DEPTH + 1):
        with pytest.raises(NotAllowed, match="depth"):
            changes.with_note(SCENE, "x", depth)
    with pytest.raises(NotAllowed, match="not paused"):
        changes.resumed(SCENE)


@given(st.text(), st.text(), st.text(), st.lists(st.text(), max_size=3))
def test_any_text_makes_a_transcript_and_a_prompt(
    title: str, scenario: str, description: str, said: list[str]
) -> None:
    scene = replace(
        SCENE, title=title, scenario=scenario, characters={"bob": Character("Kael", description)}
    )
    turns = [
        Turn(at, 1, HERE, "user" if at % 2 else "bot", Speaker("bob", "Bob"), text, NOON,
             swipes=(Swipe(0, text),), persona="Mira")
        for at, text in enumerate(said)
    ]  # fmt: skip
    document = json.loads(as_json(scene, turns, {"mira": "Mira"}))
    assert [turn["name"] for turn in document["turns"]] == ["Mira", "Kael", "Mira"][: len(said)]
    markdown = as_markdown(scene, turns, {"mira": "Mira"})
    assert markdown.count("**Kael:**") >= len(said) // 2
    assert all(part.budget for part in staging_of(scene, 2_000).parts)
