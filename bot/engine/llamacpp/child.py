"""The process in which llama.cpp runs: its own server, on a loopback port, for as long as we live.

Run as a file with our process id as the only argument. Nothing of `bot` is imported here, so that
it is there at once. On what was standard output goes one line of JSON with what this build of
llama.cpp can use; standard input then brings one with its parameters (see :func:`serve`) and stays
open: its end is our end, and this process's too. A last line tells where the server listens, or
why there is none. All that llama.cpp prints goes to standard error.
"""

import ctypes
import json
import os
import signal
import sys
import threading
from typing import IO, Any

PR_SET_PDEATHSIG = 1  # linux/prctl.h
MOST_ERROR_CHARACTERS = 500


def main() -> None:
    """Serve until whoever started this is gone."""
    end_with_parent(int(sys.argv[1]))
    tell = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints to standard output belongs to the log
    server: Any = None
    try:
        import xllamacpp

        print(json.dumps(abilities(xllamacpp)), file=tell, flush=True)
        line = sys.stdin.buffer.readline()
        if not line.endswith(b"\n"):
            os._exit(0)
        threading.Thread(target=wait_for_end, args=(sys.stdin.buffer,), daemon=True).start()
        server = serve(xllamacpp, json.loads(line))
        told: dict[str, Any] = {"address": server.listening_address}
    # Whatever it is, whoever started this has to be told: nobody else would be.
    except Exception as error:  # noqa: BLE001
        told = {"error": f"{type(error).__name__}: {error}"[:MOST_ERROR_CHARACTERS]}
    print(json.dumps(told), file=tell, flush=True)
    if server is not None:
        threading.Event().wait()
    end_with_the_log()


def end_with_parent(parent: int) -> None:
    """Have the kernel end this process with its parent (Linux), however that dies.

    A thread could not see to it while a model is loaded: xllamacpp holds Python's lock meanwhile.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the kernel knew
            os._exit(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this


def end_with_the_log() -> None:
    """End as a C program does, which writes what llama.cpp's own thread has yet to log: why.

    Python's end would wait for the thread that reads standard input.
    """
    if os.name == "posix":
        ctypes.CDLL(None).exit(1)
    os._exit(1)


def wait_for_end(stream: IO[bytes]) -> None:
    """Leave at once when the other end of the pipe is closed."""
    while stream.read(4096):
        pass
    os._exit(0)


def abilities(xllamacpp: Any) -> dict[str, Any]:
    """The library's version, and the cards that this build of it can use."""
    kinds = xllamacpp.ggml_backend_dev_type
    processors = (kinds.GGML_BACKEND_DEVICE_TYPE_CPU, kinds.GGML_BACKEND_DEVICE_TYPE_ACCEL)
    gpus: list[dict[str, Any]] = [
        {
            "name": str(device.get("description") or device["name"]),
            "free_bytes": int(device["memory_free"]),
        }
        for device in xllamacpp.get_device_info()
        if device["type"] not in processors
    ]
    return {"version": str(xllamacpp.__version__), "gpus": gpus}


def serve(xllamacpp: Any, order: dict[str, Any]) -> Any:
    """Load a model and start the server.

    The order names attributes of CommonParams with their values, dotted where they lie deeper; a
    list for `model_alias` becomes the set that it is.
    """
    parameters = xllamacpp.CommonParams()
    for path, value in order.items():
        *way, name = path.split(".")
        place: Any = parameters
        for step in way:
            place = getattr(place, step)
        setattr(place, name, set(value) if name == "model_alias" else value)
    return xllamacpp.Server(parameters)


if __name__ == "__main__":
    main()
