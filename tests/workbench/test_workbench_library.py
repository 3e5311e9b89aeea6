"""The page's calls about the owner's personas: edit, import, export; hostile and broken files."""

import asyncio
import io
import json
import os
import zlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio
from making_cards import archive, as_json, card_chunk, picture_bytes, png, v2, v3
from workbench_parts import HOSTILE, Bench, Client, StartBench

from bot.chat.personas.cards.card import Card
from bot.chat.personas.cards.reading import read_card
from bot.chat.personas.documents import FILE_BYTES
from bot.chat.personas.files import read_card_file
from bot.engine.fake import FakeEngine
from bot.errors import EngineUnavailable

FILE = {"Content-Type": "application/octet-stream"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "personas"
    path.mkdir()
    (path / "mara.toml").write_text(
        '# Keep me.\nname = "Mara"\ndescription = "{{char}} keeps the light."\n'
    )
    (path / "card.json").write_bytes(as_json(v2(description="old", extensions={"x": [1]})))
    return path


@pytest_asyncio.fixture(loop_scope="module")
async def bench(start_bench: StartBench, folder: Path) -> AsyncIterator[Bench]:
    yield await start_bench(personas_dir=folder)


async def upload(client: Client, content: bytes, name: str = "x") -> tuple[int, dict]:
    return await client.call(
        "POST", "api/uploads", data=io.BytesIO(content), headers=FILE, params={"name": name}
    )


async def card_in(path: Path) -> Card:
    return await asyncio.to_thread(read_card_file, path)


async def shown(client: Client, persona_id: str) -> dict:
    return await client.ok("GET", f"api/library/{persona_id}")


async def test_the_folders_personas_are_listed_and_shown(client: Client) -> None:
    listed = await client.ok("GET", "api/library")
    assert [(one["name"], one["file"]) for one in listed["personas"]] == [
        ("Mara", "mara.toml"),
        ("Mira", "card.json"),
    ]
    mara = await shown(client, "file:mara")
    assert mara["fields"]["description"] == "{{char}} keeps the light."
    assert mara["cost"]["tokens"]["description"] > 0
    assert mara["cost"]["context"] > 0


async def test_an_edit_changes_the_cards_document_and_nothing_else(
    client: Client, folder: Path
) -> None:
    version = (await shown(client, "file:card"))["version"]
    body = {"fields": {"description": "new"}, "version": version}
    edited = await client.ok("PUT", "api/library/file:card", body)
    assert edited["fields"]["description"] == "new"
    assert json.loads((folder / "card.json").read_bytes()) == v2(
        description="new", extensions={"x": [1]}
    )
    status, answer = await client.call("PUT", "api/library/file:card", body)
    assert status == 409
    assert "changed since" in answer["error"]


async def test_a_persona_files_comment_stays(client: Client, folder: Path) -> None:
    version = (await shown(client, "file:mara"))["version"]
    body = {"fields": {"scenario": "Fog."}, "version": version}
    await client.ok("PUT", "api/library/file:mara", body)
    text = (folder / "mara.toml").read_text()
    assert text.startswith("# Keep me.\n")
    assert (await card_in(folder / "mara.toml")).persona.scenario == "Fog."


async def test_a_picture_keeps_its_points_when_its_card_is_edited(
    client: Client, folder: Path
) -> None:
    (folder / "p.png").write_bytes(png(card_chunk("chara", v2(name="Pia")), b""))
    before = await card_in(folder / "p.png")
    await _load(client)
    version = (await shown(client, "file:p"))["version"]
    await client.ok(
        "PUT", "api/library/file:p", {"fields": {"personality": "shy"}, "version": version}
    )
    after = await card_in(folder / "p.png")
    assert after.picture == before.picture
    assert after.document == v2(name="Pia", personality="shy")


async def test_what_is_never_written_becomes_its_next_of_kin_and_stays_beside(
    client: Client, folder: Path
) -> None:
    (folder / "y.yaml").write_text("name: Yam\ncontext: c\n")
    await _load(client)
    version = (await shown(client, "file:y"))["version"]
    answer = await client.ok(
        "PUT", "api/library/file:y", {"fields": {"scenario": "s"}, "version": version}
    )
    assert answer["original"] == "y.yaml.original"
    assert answer["file"] == "y.json"
    assert (folder / "y.yaml.original").read_text() == "name: Yam\ncontext: c\n"


async def test_a_new_persona_is_a_toml_file_of_its_own(client: Client, folder: Path) -> None:
    made = await client.ok("POST", "api/library", {"fields": {"name": "../Nia", "tags": ["a"]}})
    assert made["file"] == "_Nia.toml"
    assert (await card_in(folder / "_Nia.toml")).persona.tags == ("a",)
    status, answer = await client.call("POST", "api/library", {"fields": {"name": "mara"}})
    assert status == 409
    assert "«mara (2)»" in answer["fix"]


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""}, {"name": 3}, {"name": "Zoe", "description": "x" * 100_001},
        {"name": "Zoe", "no_such": "x"}, {"name": "Zoe", "tags": "a"}, {"name": "file:x"}, {},
        {"name": "Zoe", "depth_prompt": {"text": "x", "depth": -1}},
    ],
)  # fmt: skip
async def test_what_no_persona_can_hold_is_refused(
    client: Client, folder: Path, fields: dict[str, object]
) -> None:
    status, answer = await client.call("POST", "api/library", {"fields": fields})
    assert status == 400
    assert answer["error"]
    assert len(os.listdir(folder)) == 2


async def test_a_dropped_card_is_previewed_and_taken_as_it_came(
    client: Client, folder: Path
) -> None:
    content = png(card_chunk("ccv3", v3(
        description="d", first_mes="Hi.", alternate_greetings=["Ho."], creator_notes="![x](http://x)",
        character_book={"entries": [{"keys": ["k"], "content": "lore"}]}, x=1,
    )), picture=picture_bytes((900, 600)))  # fmt: skip
    status, answer = await upload(client, content)
    assert status == 201
    card = answer["card"]
    assert (card["name"], card["greetings"], card["lore_entries"]) == ("Nova", 2, 1)
    assert card["notes"] == "![x](http://x)"
    assert set(card["cost"]["tokens"]) >= {"description", "greeting", "lorebook"}
    assert answer["taken"] is None
    async with client.session.get(f"{client.url}api/uploads/{answer['id']}/picture") as response:
        assert response.content_type == "image/png"
        assert b"ccv3" not in await response.read()
    taken = await client.ok("POST", f"api/uploads/{answer['id']}/take", {})
    assert taken["file"] == "Nova.png"
    assert (folder / "Nova.png").read_bytes() == content
    status, _ = await client.call("POST", f"api/uploads/{answer['id']}/take", {})
    assert status == 404


async def test_where_the_name_is_taken_it_is_asked(client: Client, folder: Path) -> None:
    old = (folder / "mara.toml").read_bytes()
    content = as_json(v2(name="MARA", description="other", odd=1))
    _, answer = await upload(client, content)
    assert answer["taken"] == {"name": "Mara", "file": "mara.toml"}
    assert answer["free_name"] == "MARA (2)"
    path = f"api/uploads/{answer['id']}/take"
    status, refused = await client.call("POST", path, {})
    assert status == 409
    assert "already" in refused["error"]
    assert (folder / "mara.toml").read_bytes() == old
    named = await client.ok("POST", path, {"name": "Mara of the Sea"})
    assert named["file"] == "Mara of the Sea.json"
    assert (await card_in(folder / named["file"])).data["odd"] == 1
    _, answer = await upload(client, content)
    replaced = await client.ok("POST", f"api/uploads/{answer['id']}/take", {"replace": True})
    assert replaced["file"] == "mara.json"
    assert replaced["id"] == "file:mara"
    assert not (folder / "mara.toml").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"{" * 5_000, "not|nested"),
        (b"rcc||xxxx", "encrypted"),
        (picture_bytes(), "without a card"),
        (b"PK\x03\x04" + b"\0" * 50, "archive|zip|broken"),
        (as_json({"chat_metadata": {}}), "chat log"),
        (b"MZ\0\0", "a program for Windows, not a persona"),
    ],
)
async def test_what_is_no_card_is_refused_in_one_line(
    client: Client, folder: Path, content: bytes, said: str
) -> None:
    status, answer = await upload(client, content, "odd\nname.bin")
    assert status == 400
    assert any(word in answer["error"] for word in said.split("|"))
    assert "\n" not in answer["error"]
    assert len(os.listdir(folder)) == 2


async def test_too_large_a_file_is_refused_unread(client: Client) -> None:
    status, answer = await upload(client, b"x" * (FILE_BYTES + 1))
    assert status == 413
    assert "8 MiB" in answer["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "text/plain"},
        {**FILE, "Content-Encoding": "deflate"},
    ],
)
async def test_a_form_of_another_site_cannot_pass_for_a_file(
    client: Client, headers: dict[str, str]
) -> None:
    status, _ = await client.call("POST", "api/uploads", data=zlib.compress(b"x"), headers=headers)
    assert status == 415


async def test_another_site_may_neither_read_nor_write_personas(client: Client) -> None:
    evil = {"Origin": "http://evil.example"}
    for method, path in (
        ("GET", "api/library"),
        ("GET", "api/library/file:mara/export?format=toml"),
        ("POST", "api/library"),
        ("PUT", "api/library/file:mara"),
        ("POST", "api/uploads"),
        ("POST", "api/tokens"),
        ("POST", "api/lore/test"),
    ):
        status, _ = await client.call(method, path, headers=evil)
        assert status == 403, path


async def test_an_upload_that_breaks_off_leaves_nothing(bench: Bench, client: Client) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", bench.port)
    head = (
        f"POST /api/uploads HTTP/1.1\r\nHost: 127.0.0.1:{bench.port}\r\n"
        "Content-Type: application/octet-stream\r\nContent-Length: 5000\r\n\r\n"
    )
    writer.write(head.encode() + b"{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    status, _ = await upload(client, as_json(v3()))  # those that read are not held up
    assert status == 201
    assert len((await client.ok("GET", "api/library"))["personas"]) == 2


async def test_only_a_few_files_are_held(client: Client) -> None:
    ids = [(await upload(client, as_json(v3(name=f"N{n}"))))[1]["id"] for n in range(8)]
    status, answer = await client.call("POST", f"api/uploads/{ids[0]}/take", {})
    assert status == 404
    assert "again" in answer["fix"]
    await client.ok("POST", f"api/uploads/{ids[-1]}/take", {})
    await client.ok("DELETE", f"api/uploads/{ids[-2]}")


@pytest.mark.parametrize("format", ["toml", "v1", "v2", "v3", "png", "charx"])
async def test_a_persona_goes_out_in_every_format(client: Client, format: str) -> None:
    url = f"{client.url}api/library/file:card/export?format={format}"
    async with client.session.get(url) as response:
        assert response.status == 200
        assert response.headers["Content-Disposition"].startswith("attachment")
        assert json.loads(response.headers["X-Warnings"]) == []
        card = read_card(await response.read(), "x")
    assert card.persona.name == "Mira"
    assert card.data["extensions"]["x"] == [1]  # type: ignore[index]


async def test_an_unknown_format_or_persona_is_named(client: Client) -> None:
    status, answer = await client.call("GET", "api/library/file:card/export?format=exe")
    assert (status, "toml" in answer["fix"]) == (400, True)
    for path in ("file:nobody", "..%2F..%2Fetc%2Fpasswd", "file:..%2Fmara"):
        for ending in ("", "/export?format=v2"):
            status, _ = await client.call("GET", f"api/library/{path}{ending}")
            assert status == 404, path


async def test_tokens_are_counted_by_the_engine(bench: Bench, client: Client) -> None:
    body = {"texts": {"a": "{{char}} waits here", "b": ""}, "name": "Mara of Elm"}
    cost = await client.ok("POST", "api/tokens", body)
    (expected,) = await bench.engine.count_tokens(["Mara of Elm waits here"])
    assert cost["tokens"] == {"a": expected, "b": 0}
    assert cost["context"] == bench.engine.info.context_tokens
    assert cost["exact"]


class Deaf(FakeEngine):
    """Counts nothing."""

    async def count_tokens(self, texts: Sequence[str]) -> tuple[int, ...]:
        raise EngineUnavailable("It is not there yet.")


async def test_without_a_model_tokens_are_estimated(
    start_bench: StartBench, folder: Path, open_client: object
) -> None:
    bench = await start_bench(Deaf(), personas_dir=folder)
    client: Client = await open_client(bench)  # type: ignore[operator]
    cost = await client.ok("POST", "api/tokens", {"texts": {"a": "some words"}})
    assert cost["tokens"]["a"] > 0
    assert not cost["exact"]


async def test_a_hostile_card_comes_through_as_text(client: Client) -> None:
    content = archive({"card.json": as_json(v3(name=HOSTILE[:80], creator_notes=HOSTILE))})
    status, answer = await upload(client, content, HOSTILE)
    assert status == 201
    assert answer["card"]["name"] == HOSTILE[:80]
    taken = await client.ok("POST", f"api/uploads/{answer['id']}/take", {})
    assert "<" not in taken["file"]


BOOK = {
    "entries": {
        "0": {"uid": 0, "key": ["lantern"], "content": "It burns blue.", "comment": "Lantern"},
        "1": {"uid": 1, "key": ["wolf"], "content": "It howls.", "comment": "Wolf"},
        "2": {"uid": 2, "key": [], "constant": True, "content": "Night.", "comment": HOSTILE},
        "3": {"uid": 3, "key": ["lantern"], "disable": True, "content": "x", "comment": "Off"},
    }
}


async def test_a_lorebook_is_tried_on_a_pasted_chat(client: Client, folder: Path) -> None:
    (folder / "own.json").write_bytes(as_json(v2(
        name="Own", character_book={"name": "Her book", "entries": [
            {"keys": ["tide"], "content": "The tide turns."}]},
    )))  # fmt: skip
    await _load(client)
    _, answer = await upload(client, as_json(BOOK), "world.json")
    assert answer["is"] == "lorebook"
    assert answer["book"]["entries"] == 4
    body = {
        "chat": "Ines: Is the lantern lit?\nOwn: The tide is rising.",
        "persona": "file:own",
        "books": [answer["id"]],
    }
    told = await client.ok("POST", "api/lore/test", body)
    fired = {one["title"]: one for one in told["fired"]}
    silent = {one["title"]: one["why"] for one in told["silent"]}
    assert set(fired) == {"Lantern", "tide", HOSTILE[:80]}
    assert fired["Lantern"]["keys"][0]["key"] == "lantern"
    assert fired["tide"]["book"] == "Her book"
    assert silent == {"Wolf": "none of its keys is there", "Off": "it is disabled"}
    assert [turn["role"] for turn in told["messages"]] == ["user", "bot"]
    status, _ = await client.call("POST", "api/lore/test", {**body, "books": ["gone"]})
    assert status == 404


async def test_a_lorebook_is_not_taken_for_a_persona(client: Client) -> None:
    _, answer = await upload(client, as_json(BOOK))
    status, refused = await client.call("POST", f"api/uploads/{answer['id']}/take", {})
    assert status == 400
    assert "lorebook" in refused["error"]


async def test_a_lorebook_is_read_in_any_encoding_and_a_broken_one_is_said_to_be(
    client: Client,
) -> None:
    _, answer = await upload(client, json.dumps(BOOK).encode("utf-16"), "world.json")
    assert answer["is"] == "lorebook"
    status, refused = await upload(client, b'{"spec": "lorebook_v3"}', "world.json")
    assert (status, "looks like a V3 lorebook" in refused["error"]) == (400, True)


async def _load(client: Client) -> None:
    """Let the folder be read again, as it is every two seconds."""
    await client.ok("POST", "api/library", {"fields": {"name": "Somebody"}})


async def test_a_persona_is_deleted_and_brought_back(client: Client, folder: Path) -> None:
    before = await asyncio.to_thread((folder / "mara.toml").read_bytes)
    version = (await shown(client, "file:mara"))["version"]
    path = "api/library/file:mara"
    assert (await client.call("POST", f"{path}/restore", {}))[0] == 404
    assert (await client.call("POST", f"{path}/delete", {"version": "another"}))[0] == 409
    assert await client.ok("POST", f"{path}/delete", {"version": version}) == {
        "file": "mara.toml.deleted"
    }
    listed = await client.ok("GET", "api/library")
    assert [one["name"] for one in listed["personas"]] == ["Mira"]
    assert listed["problems"] == []
    assert (await client.call("POST", f"{path}/delete", {"version": version}))[0] == 404
    await client.ok("POST", "api/library", {"fields": {"name": "Mara"}})
    assert (await client.call("POST", f"{path}/restore", {}))[0] == 409  # its name is taken
    await asyncio.to_thread((folder / "Mara.toml").unlink)
    assert (await client.ok("POST", f"{path}/restore", {}))["name"] == "Mara"
    assert await asyncio.to_thread((folder / "mara.toml").read_bytes) == before


async def test_a_picture_is_sent_shown_and_removed(client: Client, folder: Path) -> None:
    before = await shown(client, "file:mara")
    path = "api/library/file:mara/picture"
    query = {"version": before["version"], "name": "me.jpg"}
    jpeg = io.BytesIO(picture_bytes((60, 80), "JPEG"))
    status, saved = await client.call("POST", path, data=jpeg, headers=FILE, params=query)
    assert status == 200
    assert (saved["file"], saved["original"]) == ("mara.png", "mara.toml.original")
    assert (saved["has_picture"], saved["version"]) == (True, before["version"])
    assert saved["stamp"] != before["stamp"], "the page asks for it anew"
    assert (await card_in(folder / "mara.png")).persona.description == "{{char}} keeps the light."
    status, gone = await client.call("DELETE", path, params=query)
    assert (status, gone["has_picture"], gone["file"]) == (200, False, "mara.json")


@pytest.mark.parametrize(
    ("content", "headers", "status", "part"),
    [
        (b"hello", FILE, 400, "not a picture"),
        (b"x" * (FILE_BYTES + 1), FILE, 413, "larger than 8 MiB"),
        (picture_bytes(), {"Content-Type": "text/plain"}, 415, "as it is"),
    ],
    ids=["text", "large", "form"],
)
async def test_what_is_no_picture_is_refused(
    client: Client, folder: Path, content: bytes, headers: dict[str, str], status: int, part: str
) -> None:
    query = {"version": (await shown(client, "file:mara"))["version"]}
    got, answer = await client.call(
        "POST",
        "api/library/file:mara/picture",
        data=io.BytesIO(content),
        headers=headers,
        params=query,
    )
    assert got == status
    assert part in answer["error"]
    assert (folder / "mara.toml").exists()
