"""Downloads from a server that speaks the hub's API, and fails in every way that servers do."""

import os
import random
import subprocess
import sys
import threading
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from hub_server import HubServer, serving

from bot.engine.models.hub import fetching
from bot.engine.models.hub.client import Patience
from bot.engine.models.hub.fetching import ask_for, fetch_model
from bot.engine.models.hub.names import HubName
from bot.engine.models.hub.refusals import wait_seconds
from bot.engine.models.hub.store import Found, find, folder_of, locked
from bot.engine.models.progress import no_progress
from bot.errors import ModelError

WEIGHTS = random.Random(1).randbytes(3_000_000)
OTHER = random.Random(2).randbytes(50_000)
GGUFS = "someone/tiny-GGUF"
FOLDER = "someone/tiny"
QUICK = Patience(
    connect_seconds=5, silence_seconds=0.5, answer_seconds=5, attempts=3, pause_seconds=0.01
)
FILE = HubName(GGUFS, "tiny-Q4_K_M.gguf")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    repositories = {
        GGUFS: {
            "README.md": b"# Tiny",
            "tiny-Q4_K_M.gguf": WEIGHTS,
            "tiny-Q8_0.gguf": OTHER,
            "mmproj-tiny-F16.gguf": OTHER[:20_000],
            "big-F16-00001-of-00002.gguf": OTHER[1:],
        },
        FOLDER: {
            "config.json": b'{"model_type": "llama"}',
            "tokenizer.json": b"{}",
            "model.safetensors": WEIGHTS,
            "consolidated.safetensors": OTHER,
            "pytorch_model.bin": OTHER[2:],
            "modeling_evil.py": b"boom",
            "original/params.json": b"{}",
        },
    }
    with serving(HubServer(repositories, counts_taken=True)) as server:
        read = aiohttp.StreamReader.read

        async def counting(reader: aiohttp.StreamReader, n: int = -1) -> bytes:
            chunk = await read(reader, n)
            if n > 0:  # a file's; all else is read at once
                server.taken_bytes += len(chunk)
            return chunk

        monkeypatch.setattr(aiohttp.StreamReader, "read", counting)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_CACHE", "HF_TOKEN_PATH"):
            monkeypatch.delenv(name, raising=False)
        yield server


def get(folder: Path, name: HubName = FILE, patience: Patience = QUICK) -> Found:
    return fetch_model(name, folder, no_progress, patience)


def unfinished(folder: Path, name: HubName = FILE) -> list[int]:
    parts = (folder_of(folder, name) / ".unfinished").glob("*.part")
    return [part.stat().st_size for part in parts]


def test_one_file_comes_and_is_found_again(hub: HubServer, tmp_path: Path) -> None:
    steps: list[tuple[str, float | None]] = []
    found = fetch_model(FILE, tmp_path, lambda *step: steps.append(step), QUICK)
    assert found == Found(FILE, tmp_path / "models" / GGUFS / "tiny-Q4_K_M.gguf")
    assert found.path.read_bytes() == WEIGHTS
    assert [file.name for file in found.path.parent.iterdir() if not file.name.startswith(".")] == [
        "tiny-Q4_K_M.gguf"
    ]
    shares = [share for text, share in steps if text.startswith("Downloading") and share]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert unfinished(tmp_path) == []
    asked = len(hub.asked)
    assert get(tmp_path) == find(tmp_path, FILE) == found
    assert len(hub.asked) == asked  # what is here is not asked for


@pytest.mark.parametrize("file", ["", "Q4_K_M", "q4_k_m", "TINY-q4_k_m.gguf"])
def test_the_packing_that_suits_is_taken_and_may_be_named(
    file: str, hub: HubServer, tmp_path: Path
) -> None:
    assert get(tmp_path, HubName(GGUFS, file)).name == FILE
    assert find(tmp_path, HubName(GGUFS)) == find(tmp_path, FILE)


def test_of_a_folder_only_what_is_needed_comes(hub: HubServer, tmp_path: Path) -> None:
    found = get(tmp_path, HubName(FOLDER))
    assert not found.is_gguf
    assert sorted(file.name for file in found.path.iterdir() if file.name[0] != ".") == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert found == find(tmp_path, HubName(FOLDER))


def test_a_folder_that_lost_a_file_is_not_whole_and_is_mended(
    hub: HubServer, tmp_path: Path
) -> None:
    found = get(tmp_path, HubName(FOLDER))
    (found.path / "config.json").unlink()
    assert find(tmp_path, HubName(FOLDER)) is None
    sent = hub.sent_bytes
    assert get(tmp_path, HubName(FOLDER)) == found
    assert hub.sent_bytes == sent  # the weights were not fetched again


def test_a_file_that_was_cut_off_later_is_not_taken_and_comes_again(
    hub: HubServer, tmp_path: Path
) -> None:
    path = get(tmp_path).path
    path.write_bytes(WEIGHTS[:1000])
    assert find(tmp_path, FILE) is None
    assert get(tmp_path).path.read_bytes() == WEIGHTS


def test_a_connection_that_breaks_is_taken_up_again(hub: HubServer, tmp_path: Path) -> None:
    hub.cuts = [1_000_000, 500_000, 0, 700_000]
    assert get(tmp_path).path.read_bytes() == WEIGHTS
    offsets = [headers.get("Range") for headers in hub.asked_for("/store/")]
    assert offsets[0] is None
    assert all(offsets[1:])
    assert hub.sent_bytes == len(WEIGHTS)  # nothing came twice


def test_what_came_stays_when_it_breaks_for_good(hub: HubServer, tmp_path: Path) -> None:
    hub.cuts = [1_200_000, 0, 0, 0, 0]
    with pytest.raises(ModelError, match=r"broke off after 1\.2 MB of 3\.0 MB") as caught:
        get(tmp_path)
    assert "goes on where it stopped" in caught.value.fix
    assert unfinished(tmp_path) == [1_200_000]
    assert find(tmp_path, FILE) is None
    hub.cuts = []
    assert get(tmp_path).path.read_bytes() == WEIGHTS
    assert hub.sent_bytes == len(WEIGHTS)


def test_a_killed_process_leaves_no_file_that_looks_whole(hub: HubServer, tmp_path: Path) -> None:
    hub.stalls_after = 1_500_000
    code = (
        "import sys; from pathlib import Path\n"
        "from bot.engine.models.hub.fetching import fetch_model\n"
        "from bot.engine.models.hub.names import HubName\n"
        "from bot.engine.models.progress import no_progress\n"
        "def tell(_text, share):\n"
        "    if share and share >= 0.3: print('coming', flush=True)\n"
        f"fetch_model(HubName({GGUFS!r}, {FILE.file!r}), Path({str(tmp_path)!r}), tell)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=dict(os.environ)
    )
    assert child.stdout is not None
    child.stdout.readline()
    child.kill()
    child.wait()
    child.stdout.close()
    assert find(tmp_path, FILE) is None
    (here,) = unfinished(tmp_path)
    assert here > 0
    hub.stalls_after = None
    hub.sent_bytes = 0
    assert get(tmp_path).path.read_bytes() == WEIGHTS
    assert hub.sent_bytes == len(WEIGHTS) - here


def test_damage_in_what_came_before_is_found(hub: HubServer, tmp_path: Path) -> None:
    hub.cuts = [1_200_000, 0, 0, 0]
    with pytest.raises(ModelError):
        get(tmp_path)
    hub.cuts = []
    (part,) = (folder_of(tmp_path, FILE) / ".unfinished").glob("*.part")
    part.write_bytes(b"x" + part.read_bytes()[1:])
    with pytest.raises(ModelError, match=r"checksum is wrong\. It was removed"):
        get(tmp_path)
    assert unfinished(tmp_path) == []
    assert get(tmp_path).path.read_bytes() == WEIGHTS


@pytest.mark.parametrize("lists_hashes", [True, False])
def test_other_content_is_removed_and_said(
    lists_hashes: bool, hub: HubServer, tmp_path: Path
) -> None:
    hub.sends_other = bytes(len(WEIGHTS))
    hub.lists_hashes = lists_hashes  # else the resolver's headers tell
    with pytest.raises(ModelError, match="checksum is wrong"):
        get(tmp_path)
    assert unfinished(tmp_path) == []
    assert find(tmp_path, FILE) is None


def test_small_files_are_checked_too(hub: HubServer, tmp_path: Path) -> None:
    hub.sends_small_other = True
    with pytest.raises(ModelError, match=r"config\.json came damaged"):
        get(tmp_path, HubName(FOLDER))


def test_without_any_checksum_large_weights_are_not_taken(hub: HubServer, tmp_path: Path) -> None:
    hub.lists_hashes = hub.names_hashes = False
    with pytest.raises(ModelError, match="no checksum"):
        get(tmp_path)
    assert find(tmp_path, FILE) is None


def test_a_server_that_ignores_ranges_sends_it_anew(hub: HubServer, tmp_path: Path) -> None:
    hub.cuts = [1_000_000]
    hub.ignores_range = True
    assert get(tmp_path).path.read_bytes() == WEIGHTS


@pytest.mark.parametrize("size", [len(WEIGHTS) - 5, len(WEIGHTS) + 5, 0])
def test_a_size_that_differs_from_the_list_is_refused(
    size: int, hub: HubServer, tmp_path: Path
) -> None:
    hub.lists_other_size = size
    with pytest.raises(ModelError, match="should have"):
        get(tmp_path)
    assert find(tmp_path, FILE) is None


def test_a_server_that_falls_silent_is_given_up(hub: HubServer, tmp_path: Path) -> None:
    hub.stalls_after = 0
    with pytest.raises(ModelError, match="nothing came any more"):
        get(tmp_path)
    hub.stalls_after = 1_600_000  # each time
    assert get(tmp_path).path.read_bytes() == WEIGHTS


def test_a_server_that_drips_is_given_up(hub: HubServer, tmp_path: Path) -> None:
    impatient = Patience(window_seconds=0, window_bytes=1 << 30, attempts=2, pause_seconds=0)
    with pytest.raises(ModelError, match="next to nothing"):
        get(tmp_path, patience=impatient)


def test_a_packed_answer_is_refused(hub: HubServer, tmp_path: Path) -> None:
    hub.packs = True
    with pytest.raises(ModelError, match="packed"):
        get(tmp_path)


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "",
        "http://",
        "/someone/tiny-GGUF/resolve/main/tiny-Q4_K_M.gguf",
    ],
)
def test_redirects_lead_nowhere_odd(target: str, hub: HubServer, tmp_path: Path) -> None:
    hub.redirects_to = target or " "
    with pytest.raises(ModelError, match="address"):
        get(tmp_path)


def test_the_token_goes_to_the_hub_alone(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.token = "hf_secret"
    monkeypatch.setenv("HF_TOKEN", " hf_secret\n")
    get(tmp_path)
    assert all("Authorization" in headers for headers in hub.asked_for("/resolve/"))
    assert hub.asked_for("/store/")
    assert not any("Authorization" in headers for headers in hub.asked_for("/store/"))


def test_the_token_is_found_where_the_hubs_own_programs_keep_it(
    hub: HubServer, tmp_path: Path
) -> None:
    hub.token = "hf_secret"
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "token").write_text("hf_secret\n")
    assert get(tmp_path).path.is_file()


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (401, "GatedRepo", "accepted its terms"),
        (403, "", "accepted its terms"),
        (401, "RepoNotFound", "no model someone/tiny-GGUF, or it is private"),
        (401, "", "no model"),
        (404, "RepoNotFound", "no model"),
        (404, "", "no model"),
        (451, "", "error 451"),
        (500, "", "error 500"),
        (429, "", "error 429"),
    ],
)
def test_what_the_hub_refuses_is_said(
    status: int, code: str, says: str, hub: HubServer, tmp_path: Path
) -> None:
    hub.refuse = (status, code)
    with pytest.raises(ModelError, match=says) as caught:
        get(tmp_path)
    assert caught.value.fix
    if status in (401, 403, 404):
        assert "HF_TOKEN=" in caught.value.fix
    assert not folder_of(tmp_path, FILE).exists()


@pytest.mark.parametrize(
    ("headers", "when"),
    [
        ({"Retry-After": "45"}, "Try again in 45 seconds"),
        ({"Retry-After": "300"}, "Try again in 5 minutes"),
        ({"RateLimit": '"api";r=0;t=61'}, "Try again in 61 seconds"),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, "Try again later"),
        ({"Retry-After": "soon"}, "Try again later"),
        ({"Retry-After": "999999999"}, "Try again later"),
        ({}, "Try again later"),
    ],
)
def test_a_hub_that_is_asked_too_often_says_when_to_try_again(
    headers: dict[str, str], when: str, hub: HubServer, tmp_path: Path
) -> None:
    hub.refuse, hub.refuse_headers = (429, ""), headers
    with pytest.raises(ModelError, match="too many requests") as caught:
        get(tmp_path)
    assert caught.value.fix == f"{when}."


def test_a_store_that_wants_to_wait_is_not_asked_again_before(
    hub: HubServer, tmp_path: Path
) -> None:
    hub.store_refuses, hub.refuse_headers = 429, {"Retry-After": "120"}
    with pytest.raises(ModelError, match="error 429") as caught:
        get(tmp_path)
    assert caught.value.fix == "Try again in 2 minutes: it goes on where it stopped."
    assert sum(path.startswith("/store/") for path, _ in hub.asked) == 1


def test_a_date_to_wait_for_is_understood() -> None:
    date = "Fri, 31 Dec 1999 23:59:59 GMT"
    assert wait_seconds(date, 946_684_799 - 30) == 30
    assert wait_seconds(date, 946_684_900) == 0


@pytest.mark.parametrize("status", [403, 404, 503])
def test_what_the_store_refuses_says_nothing_of_rights(
    status: int, hub: HubServer, tmp_path: Path
) -> None:
    hub.store_refuses = status
    with pytest.raises(ModelError, match=f"the store of its files answers with error {status}"):
        get(tmp_path)


def test_a_wrong_token_is_named(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    hub.refuse = (401, "")
    with pytest.raises(ModelError, match="does not accept the token"):
        get(tmp_path)
    monkeypatch.setenv("HF_TOKEN", "hf_a\r\nX-Evil: 1")
    with pytest.raises(ModelError, match="characters that no token has"):
        get(tmp_path)


def test_offline_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: HubServer) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(ModelError, match="cannot be reached") as caught:
        get(tmp_path)
    assert "HF_ENDPOINT" in caught.value.fix
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set"):
        get(tmp_path)


@pytest.mark.parametrize(
    "endpoint", ["ftp://x", "nonsense", "http://u:p@host", "http://host?x=1", "http://[::1"]
)
def test_an_endpoint_that_is_none_is_refused(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: HubServer
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(ModelError, match="HF_ENDPOINT is not an address"):
        get(tmp_path)


def test_a_small_disk_is_said_before_anything_comes(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _path: usage(9, 8, 1_000_000))
    with pytest.raises(ModelError, match=r"0\.0 GB more on the disk") as caught:
        get(tmp_path)
    assert "Make room for 0.5 GB" in caught.value.fix
    assert not hub.asked_for("/resolve/")


def test_a_folder_that_cannot_be_written_is_said(hub: HubServer, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("in the way")
    with pytest.raises(ModelError, match="cannot be written"):
        get(tmp_path)


def test_two_at_once_fetch_it_once(hub: HubServer, tmp_path: Path) -> None:
    hub.cuts = [500_000, 500_000]
    found: list[Found] = []
    threads = [threading.Thread(target=lambda: found.append(get(tmp_path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found[0] == found[1]
    assert hub.sent_bytes == len(WEIGHTS)


def test_who_comes_second_is_told_that_it_waits(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "WAIT_SECONDS", 0.01)
    folder = folder_of(tmp_path, FILE)
    holds = locked(folder)
    assert holds.__enter__()
    waited = threading.Event()

    def tell(text: str, _share: float | None) -> None:
        if text.startswith("Waiting"):
            waited.set()

    thread = threading.Thread(target=lambda: fetch_model(FILE, tmp_path, tell, QUICK))
    thread.start()
    assert waited.wait(10)
    assert not hub.asked_for("/resolve/")
    holds.__exit__(None, None, None)
    thread.join(30)
    assert find(tmp_path, FILE)


def test_one_file_broken_off_survives_the_fetching_of_another(
    hub: HubServer, tmp_path: Path
) -> None:
    hub.cuts = [1_200_000, 0, 0, 0]
    with pytest.raises(ModelError):
        get(tmp_path)
    hub.cuts = []
    get(tmp_path, HubName(GGUFS, "tiny-Q8_0.gguf"))
    assert unfinished(tmp_path) == [1_200_000]


def test_a_new_version_takes_the_place_of_the_old_one(hub: HubServer, tmp_path: Path) -> None:
    path = get(tmp_path).path
    new = WEIGHTS[::-1]
    hub.repositories[GGUFS][FILE.file] = new
    path.unlink()
    hub.cuts = [1_000_000, 0, 0, 0]
    with pytest.raises(ModelError):
        get(tmp_path)
    hub.cuts = []
    hub.repositories[GGUFS][FILE.file] = newest = new + b"."
    assert get(tmp_path).path.read_bytes() == newest
    assert unfinished(tmp_path) == []


def test_a_file_that_somebody_put_there_is_not_overwritten(hub: HubServer, tmp_path: Path) -> None:
    folder = get(tmp_path, HubName(FOLDER)).path
    (folder / ".fetched.json").unlink()
    (folder / "config.json").write_text("mine")
    with pytest.raises(ModelError, match="was not downloaded by this program"):
        get(tmp_path, HubName(FOLDER))
    assert (folder / "config.json").read_text() == "mine"


def test_names_that_climb_out_of_the_folder_are_passed_over(hub: HubServer, tmp_path: Path) -> None:
    hub.extra_names = ("../../evil.gguf", "/etc/x.gguf", "a/../../b.gguf", ".ssh/x.gguf", "a\\b")
    assert {file.path for file in ask_for(HubName(GGUFS)).files} == {FILE.file}
    get(tmp_path)
    assert not list(tmp_path.rglob("*evil*"))
    with pytest.raises(ModelError, match="no file"):
        get(tmp_path, HubName(GGUFS, "evil.gguf"))


def test_a_list_without_sizes_is_asked_for_again(hub: HubServer, tmp_path: Path) -> None:
    hub.siblings_have_sizes = False
    hub.page_size = 2
    assert get(tmp_path).path.read_bytes() == WEIGHTS
    assert len(hub.asked_for("/tree/")) == 3


def test_a_model_that_is_only_there_in_parts_is_none_to_name(
    hub: HubServer, tmp_path: Path
) -> None:
    hub.repositories[GGUFS] = {f"big-0000{n}-of-00002.gguf": WEIGHTS for n in (1, 2)}
    with pytest.raises(ModelError, match="one part of a model in several") as caught:
        get(tmp_path, HubName(GGUFS))
    assert caught.value.fix == "Take another model."


def test_what_is_meant_is_asked_where_several_fit(hub: HubServer, tmp_path: Path) -> None:
    del hub.repositories[GGUFS][FILE.file]
    hub.repositories[GGUFS]["tiny-Q5_K_M.gguf"] = WEIGHTS
    with pytest.raises(ModelError, match="several files: tiny-Q8_0") as caught:
        get(tmp_path, HubName(GGUFS))
    assert "model fetch someone/tiny-GGUF:FILE" in caught.value.fix
    with pytest.raises(ModelError, match="has no file «Q2_K»"):
        get(tmp_path, HubName(GGUFS, "Q2_K"))
    with pytest.raises(ModelError, match="one part of a model in several"):
        get(tmp_path, HubName(GGUFS, "big-F16-00001-of-00002.gguf"))
    get(tmp_path, HubName(GGUFS, "Q8_0"))
    get(tmp_path, HubName(GGUFS, "Q5_K_M"))
    with pytest.raises(ModelError, match="Several files"):
        find(tmp_path, HubName(GGUFS))


def test_pickles_alone_are_refused(hub: HubServer, tmp_path: Path) -> None:
    hub.repositories["a/b"] = {"config.json": b"{}", "pytorch_model.bin": OTHER}
    with pytest.raises(ModelError, match="only as pickles"):
        get(tmp_path, HubName("a/b"))
    hub.repositories["a/b"] = {"README.md": b""}
    with pytest.raises(ModelError, match="neither"):
        get(tmp_path, HubName("a/b"))
