"""Whatever is kept of a person fits into files, each of them a document, and nothing is lost."""

import asyncio
import json
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.chat.privacy.handing_out import write_everything
from bot.chat.privacy.ports import Field, Page

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
MOST_BYTES = 2_000
ITEMS = st.lists(
    st.dictionaries(st.sampled_from("abc"), st.text(max_size=80) | st.integers() | st.none()),
    max_size=25,
)


class Kept:
    """Things in sections, a few to a page."""

    def __init__(self, things: Mapping[str, Sequence[Mapping[str, Field]]]) -> None:
        self.things = things

    def sections(self) -> Sequence[str]:
        return list(self.things)

    async def page(self, platform: str, speaker_id: str, section: str, after: int) -> Page:
        items = self.things[section]
        last = after + 3
        return Page(items[after:last], last if last < len(items) else None)


def written(kept: Kept) -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        files = asyncio.run(
            write_everything(kept, "discord", "1", Path(folder), at=NOON, most_bytes=MOST_BYTES)
        )
        assert sorted(files) == files
        return [path.read_bytes() for path in files]


@settings(deadline=None, max_examples=60)
@given(st.fixed_dictionaries({"messages": ITEMS, "facts": ITEMS, "scenes": ITEMS}))
def test_all_of_it_comes_in_order_in_files_that_are_small_enough(
    things: dict[str, list[dict[str, Field]]],
) -> None:
    found: dict[str, list[Mapping[str, Field]]] = {section: [] for section in things}
    files = written(Kept(things))
    assert all(len(content) <= MOST_BYTES for content in files)
    documents = [json.loads(content) for content in files]
    for document in documents:
        for section in found:
            found[section] += document.get(section, [])
    assert found == things
    assert [one["part"] for one in documents] == list(range(1, len(files) + 1))
    assert [one["has_more_parts"] for one in documents] == [True] * (len(files) - 1) + [False]


def test_what_fits_no_file_is_named_and_the_rest_comes() -> None:
    large: dict[str, Field] = {"turn": 7, "text": "x" * MOST_BYTES, "ids": ["1"]}
    [content] = written(Kept({"messages": [{"turn": 6}, large, {"turn": 8}]}))
    before, short, after = json.loads(content)["messages"]
    assert (before, after) == ({"turn": 6}, {"turn": 8})
    assert short["turn"] == 7
    assert set(short) == {"turn", "left_out"}
