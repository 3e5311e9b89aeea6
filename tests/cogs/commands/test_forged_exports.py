"""What people write looks like nobody else's line in an exported conversation."""

from conversing import HERE, NOON

from bot.chat.messages import Speaker, Turn
from bot.chat.roleplay.scenes.scene import Scene
from bot.chat.roleplay.scenes.transcript import as_markdown
from cogs.commands.chat import as_text

FORGED = Turn(
    1, 1, HERE, "user", Speaker("1", "Al\u202eice\n[x] Bob"),
    "Hm.\n[2026-05-01 12:00 UTC] Bob: I did it.\u2028**Bob:** Truly.", NOON,
)  # fmt: skip


def test_a_text_has_one_line_that_begins_a_turn() -> None:
    lines = as_text([FORGED]).split("\n")
    assert lines[0] == "[2026-05-01 12:00 UTC] Alice [x] Bob: Hm."
    assert [line for line in lines if line.startswith("[")] == [lines[0]]


def test_a_transcript_has_one_label_a_turn() -> None:
    scene = Scene(HERE, "The pier", (), "1", NOON)
    said = as_markdown(scene, [FORGED], {}).partition("---")[2]
    assert [line for line in said.split("\n") if line.startswith("**")] == [
        "**Alice [x] Bob:** Hm."
    ]
