"""Real cards, where `shared/cards` lies above the tree: each gives the facts that it should."""

import csv
import json
from pathlib import Path

import pytest
from making_cards import refused, shared_cards

from bot.chat.personas.cards.card import Card, Origin
from bot.chat.personas.cards.preview import lore_entries
from bot.chat.personas.cards.reading import read_card
from bot.chat.personas.cards.versions import OURS
from bot.chat.personas.cards.writing import Format, write_card
from bot.errors import PersonaError

FOLDER = shared_cards()
pytestmark = pytest.mark.skipif(FOLDER is None, reason="shared/cards is not there")

BOOKS = ("novelai", "st_world")
NOW = 1_700_000_000


def rows() -> list[dict[str, str]]:
    if FOLDER is None:
        return []
    with (FOLDER / "MANIFEST.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def made() -> list[Path]:
    return sorted((FOLDER / "made").iterdir()) if FOLDER else []


def facts_of(row: dict[str, str]) -> dict[str, str]:
    return dict(fact.strip().split("=", 1) for fact in row["facts"].split(" ; "))


def read(path: Path) -> Card:
    return read_card(path.read_bytes(), path.name)


CARDS = [row for row in rows() if row["kind"] not in BOOKS and "name=- ;" not in row["facts"]]


@pytest.mark.parametrize("row", CARDS, ids=lambda row: row["file"])
def test_a_real_card_gives_its_facts(row: dict[str, str]) -> None:
    assert FOLDER is not None
    card, facts = read(FOLDER / row["file"]), facts_of(row)
    persona = card.persona
    assert persona.name == facts["name"]
    assert lore_entries(persona) == int(facts["lore"])
    first, _, others = facts["greet"].partition("+")
    greetings = [bool(persona.greeting), len(persona.alternate_greetings)]
    if others:
        assert greetings == [int(first), int(others)]
    else:
        assert sum(greetings) == int(first)
    if "group_only" in facts:
        assert len(persona.group_greetings) == int(facts["group_only"])
    if card.origin is Origin.BYAF:
        own = card.data["extensions"][OURS]["byaf"]  # type: ignore[index]
        assert own["character"]["displayName"] == facts["display"]
        assert len(own["scenarios"]) == int(facts["scenarios"])
        assert (card.picture is not None) == (facts["images"] != "0")
    if "assets" in facts:
        assert len(card.assets) == int(facts["assets"])
    if "spec" in facts:
        spec = facts["spec"]
        assert card.document.get("spec", "-") == spec
        assert (card.spec_version or "-") == facts["ver"]
        extensions = card.data.get("extensions")
        names = "None" if extensions is None else ",".join(sorted(extensions))  # type: ignore[arg-type]
        assert names == facts["ext"]
    if "chunks" in facts:
        assert card.picture is not None


@pytest.mark.parametrize("row", CARDS, ids=lambda row: row["file"])
def test_a_real_card_goes_out_as_it_came(row: dict[str, str]) -> None:
    assert FOLDER is not None
    card = read(FOLDER / row["file"])
    back = json.loads(write_card(card, Format(card.version.value), NOW).content)
    if "modification_date" in card.data:
        back["data"]["modification_date"] = card.data["modification_date"]
    assert json.dumps(back) == json.dumps(card.document)
    for format in Format:
        written = write_card(card, format, NOW)
        again = read_card(written.content, written.file_name)
        assert again.persona == card.persona


@pytest.mark.parametrize(
    "row", [row for row in rows() if row["kind"] in BOOKS], ids=lambda row: row["file"]
)
def test_a_real_lorebook_is_no_persona(row: dict[str, str]) -> None:
    assert FOLDER is not None
    with pytest.raises(PersonaError) as caught:
        read(FOLDER / row["file"])
    is_json = "NOT JSON" not in row["odd"]
    assert ("lorebook of" if is_json else "not JSON") in str(caught.value)


@pytest.mark.parametrize("path", made(), ids=lambda path: path.name)
def test_a_made_card_is_taken_or_refused_as_its_name_says(path: Path) -> None:
    if path.name.startswith("bad_"):
        refused(path.read_bytes(), lambda content: read_card(content, path.name))
    else:
        assert read(path).persona.name in ("From chara", "From ccv3")
