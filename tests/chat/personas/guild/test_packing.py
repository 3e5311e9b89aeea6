"""What is kept of a card is the card."""

import json
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from making_cards import archive, as_json, picture_bytes, v3

from bot.chat.personas.cards.card import Card
from bot.chat.personas.cards.pictures import look_at
from bot.chat.personas.cards.reading import read_card
from bot.chat.personas.guild.kept import KeptDocument, KeptPersona, PersonaDraft
from bot.chat.personas.guild.packing import card_of_kept, draft_of, kept_picture, persona_of_kept

MORNING = datetime(2024, 5, 17, tzinfo=UTC)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | words
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(words, below, max_size=3),
    max_leaves=8,
)  # fmt: skip
others = st.dictionaries(words.map("x/{}".format), anything, max_size=4)


def kept(draft: PersonaDraft) -> KeptDocument:
    persona = KeptPersona(
        "guild:1", "1", draft.name, 1, 0, "", MORNING, "", MORNING, None,
        draft.summary, draft.version, draft.picture_digest,
    )  # fmt: skip
    return KeptDocument(persona, draft.version, draft.origin, draft.spec, draft.document)


@settings(max_examples=60)
@given(beside=others, inside=others, extensions=others, version=st.sampled_from([1, 2, 3]))
def test_every_key_comes_back_in_its_place(
    beside: dict[str, object],
    inside: dict[str, object],
    extensions: dict[str, object],
    version: int,
) -> None:
    data = {"name": "Nova", "description": "d", **inside, "extensions": extensions}
    spec = {"spec": f"chara_card_v{version}", "spec_version": f"{version}.0", "data": data}
    document = {**beside, **(data if version == 1 else spec)}
    card = read_card(as_json(document), "card.json")
    draft = draft_of(card)
    back = card_of_kept(kept(draft), draft.files or ())
    assert json.dumps(back.document) == json.dumps(card.document)
    assert (back.persona, back.version, back.origin) == (card.persona, card.version, card.origin)
    persona = persona_of_kept(kept(draft))
    assert (persona.version, persona.id, persona.guild_id) == (draft.version, "guild:1", "1")


def test_files_beside_a_card_are_kept_as_they_came() -> None:
    icon = {"type": "icon", "uri": "embeded://assets/icon.png", "name": "main", "ext": "png"}
    files = {
        "card.json": as_json(v3(assets=[icon])),
        "assets/icon.png": picture_bytes((20, 20)),
        "assets/song.ogg": b"\0sound",
    }
    card: Card = read_card(archive(files), "card.charx")
    draft = draft_of(card)
    back = card_of_kept(kept(draft), draft.files or ())
    assert back.files == card.files
    assert back.picture is not None
    assert look_at("x", back.picture) is not None


def test_a_broken_picture_is_left_out() -> None:
    assert kept_picture(b"\x89PNG nothing") is None
    whole = picture_bytes((30, 30), "JPEG")
    made = kept_picture(whole)
    assert made is not None
    assert made.startswith(b"\x89PNG")
