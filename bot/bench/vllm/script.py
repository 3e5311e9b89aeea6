# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
"""The process in which vLLM runs, by whichever Python has it: nothing of `bot` is imported here.

Lines of JSON. The first on standard input has the arguments of vLLM's engine; the answer says that
it is ready, or why it is not. Then come requests with the tokens of their prompts, whose replies
come back piece by piece, as they are generated. The end of standard input is the end of all.
With `--version` instead: whether vLLM is installed, without importing it.
"""

import asyncio
import ctypes
import dataclasses
import importlib.metadata
import io
import json
import os
import signal
import sys
from typing import IO, Any

PR_SET_PDEATHSIG = 1  # linux/prctl.h
MOST_ERROR_CHARACTERS = 500
MOST_LINE_BYTES = 1 << 24


class Teller:
    """Writes what many requests have to say, once for each turn of the event loop."""

    def __init__(self, stream: IO[str]) -> None:
        """`stream` is the parent's."""
        self._stream = stream
        self._lines: list[str] = []

    def tell(self, **words: Any) -> None:
        """Soon."""
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._write)
        self._lines.append(json.dumps(words))

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        self._stream.write("\n".join(lines) + "\n")
        self._stream.flush()


def main() -> None:
    """Serve until standard input ends."""
    tell = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what vLLM prints, and each process that it starts, belongs to the log
    # A fork of it that outlives us would keep our end from being seen.
    os.register_at_fork(after_in_child=lambda: os.close(tell.fileno()))
    try:
        version = importlib.metadata.version("vllm")
    except importlib.metadata.PackageNotFoundError:
        version = ""
    if "--version" in sys.argv:
        print(json.dumps({"version": version}), file=tell, flush=True)
        return
    code = 0
    try:
        end_with_parent(int(sys.argv[1]))
        order = io.FileIO(0, closefd=False).readline()  # not a byte beyond it
        asyncio.run(serve(json.loads(order), version, tell))
    # Whatever it is, whoever started this has to be told: nobody else would be.
    except Exception as error:  # noqa: BLE001
        text = f"{type(error).__name__}: {error}"[:MOST_ERROR_CHARACTERS]
        print(json.dumps({"failed": text}), file=tell, flush=True)
        code = 1
    os._exit(code)  # threads and processes of a library do not keep it


def end_with_parent(parent: int) -> None:
    """Have the kernel end this process with its parent (Linux), however that dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the kernel knew
            os._exit(0)


async def serve(order: dict[str, Any], version: str, stream: IO[str]) -> None:
    """Start the engine and answer."""
    from vllm import SamplingParams
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.sampling_params import RequestOutputKind
    from vllm.v1.engine.async_llm import AsyncLLM

    known = {field.name for field in dataclasses.fields(AsyncEngineArgs)}
    arguments = {name: value for name, value in order.items() if name in known}
    engine = AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))
    teller = Teller(stream)
    teller.tell(
        ready=version,
        unknown=sorted(set(order) - known),
        room_tokens=room_tokens(engine),
    )
    running: dict[int, asyncio.Future[None]] = {}

    async def answer(number: int, request: dict[str, Any]) -> None:
        try:
            parameters = SamplingParams(
                output_kind=RequestOutputKind.DELTA, ignore_eos=True, **request["sampling"]
            )
            prompt = {"prompt_token_ids": request["tokens"]}
            async for found in engine.generate(prompt, parameters, request_id=str(number)):
                output = found.outputs[0]
                cached = getattr(found, "num_cached_tokens", None)
                teller.tell(
                    id=number,
                    text=output.text,
                    tokens=len(output.token_ids),
                    cached=cached or 0,
                    end=output.finish_reason if found.finished else None,
                )
        except Exception as error:  # noqa: BLE001 - told likewise
            text = f"{type(error).__name__}: {error}"[:MOST_ERROR_CHARACTERS]
            teller.tell(id=number, error=text)
        finally:
            running.pop(number, None)

    reader = asyncio.StreamReader(limit=MOST_LINE_BYTES)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while True:
        line = await reader.readline()
        if not line:
            break
        said = json.loads(line)
        if "cancel" in said:
            if said["cancel"] in running:
                running[said["cancel"]].cancel()
        else:
            number = said["id"]
            running[number] = asyncio.ensure_future(answer(number, said))
    engine.shutdown()


def room_tokens(engine: Any) -> int:
    """What its cache holds; 0 where this version keeps it elsewhere."""
    cache = getattr(getattr(engine, "vllm_config", None), "cache_config", None)
    blocks = getattr(cache, "num_gpu_blocks", None) or 0
    return blocks * (getattr(cache, "block_size", None) or 0)


if __name__ == "__main__":
    if sys.path and sys.path[0] == os.path.dirname(os.path.abspath(__file__)):
        sys.path.pop(0)  # our files' names are not to hide anybody's modules
    main()
