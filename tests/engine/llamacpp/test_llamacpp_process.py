"""The child's life: it never outlives whoever started it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from bot.engine.llamacpp.process import CHILD, LlamaProcess
from bot.engine.models.embedded import find_embedded
from bot.errors import EngineFailed

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
PARENT = """
import asyncio, sys
from bot.engine.llamacpp.process import LlamaProcess

async def main():
    process = LlamaProcess()
    await process.start()
    parameters = {"model.path": sys.argv[2], "n_ctx": 512, "cpuparams.n_threads": 1}
    if sys.argv[1] == "serving":
        await process.load(parameters)
    elif sys.argv[1] == "loading":
        asyncio.create_task(process.load(parameters))
        while "loading model" not in str(process.log._kept):
            await asyncio.sleep(0)
    print(process.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("moment", ["started", "loading", "serving"])
def test_it_ends_when_its_parent_is_killed(moment: str, tmp_path: Path) -> None:
    model = find_embedded().path
    if moment == "loading":  # from a pipe in which nothing ever comes
        model = tmp_path / "model.gguf"
        os.mkfifo(model)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, moment, str(model)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert child.wait(2) is None or not child.is_running()


def test_it_leaves_when_its_parent_was_gone_before_it_came() -> None:
    done = subprocess.run(
        [sys.executable, "-P", str(CHILD), str(os.getpid() + 1)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=10,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"")


def test_it_leaves_when_its_input_ends() -> None:
    with subprocess.Popen(
        [sys.executable, "-P", str(CHILD), str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert "version" in json.loads(child.stdout.readline())
        child.stdin.close()
        assert child.wait(5) == 0


def test_ctrl_c_does_not_end_it() -> None:
    code = textwrap.dedent(
        """
        import asyncio, os, signal
        from bot.engine.llamacpp.process import LlamaProcess

        async def main():
            process = LlamaProcess()
            await process.start()
            assert os.getpgid(process.pid) != os.getpgid(0)
            os.kill(process.pid, signal.SIGINT)
            await asyncio.sleep(0.3)
            assert not process.ended.is_set()
            process.kill()
            await process.ended.wait()
            assert process.how_it_ended == "signal 9"

        asyncio.run(main())
        """
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=20)


async def test_why_it_cannot_load_is_told(tmp_path: Path) -> None:
    process = LlamaProcess()
    abilities = await process.start()
    assert abilities.version
    with pytest.raises(EngineFailed, match="No such file"):
        await process.load({"model.path": str(tmp_path / "none.gguf")})
    async with asyncio.timeout(5):
        await process.ended.wait()


async def test_secrets_are_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", "a secret")
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    process = LlamaProcess()
    await process.start()
    assert process.pid is not None
    names = await asyncio.to_thread(psutil.Process(process.pid).environ)
    process.kill()
    await process.ended.wait()
    assert not {"DISCORD_TOKEN", "OPENAI_API_KEY"} & names.keys()
    assert names["OMP_WAIT_POLICY"] == "PASSIVE"


async def test_one_that_is_killed_before_it_was_started_is_never_started() -> None:
    process = LlamaProcess()
    process.kill()
    before = time.monotonic()
    with pytest.raises(EngineFailed):
        await process.start()
    assert time.monotonic() - before < 5
    assert process.pid is None
