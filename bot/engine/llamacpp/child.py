"""The process in which llama.cpp runs: its own server, on a loopback port, for as long as we live.

Run as a file with our process id as the only argument. Nothing of `bot` is imported here, so that
it is there at once. Standard input brings one line of JSON (see :func:`serve`) and then stays open:
its end is our end, and this process's too. On what was standard output goes one line of JSON, the
outcome; all else that llama.cpp prints goes to standard error.
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
    outcome = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints to standard output belongs to the log
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        os._exit(0)
    threading.Thread(target=wait_for_end, args=(sys.stdin.buffer,), daemon=True).start()
    server: object = None
    try:
        server, told = serve(json.loads(line))
    # Whatever it is, whoever started this has to be told: nobody else would be.
    except Exception as error:  # noqa: BLE001
        told = {"error": f"{type(error).__name__}: {error}"[:MOST_ERROR_CHARACTERS]}
    outcome.write(json.dumps(told) + "\n")
    outcome.close()
    if server is not None:
        threading.Event().wait()
    os._exit(1)


def end_with_parent(parent: int) -> None:
    """Have the kernel end this process with its parent (Linux), however that dies.

    A thread could not see to it while a model is loaded: xllamacpp holds Python's lock meanwhile.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the kernel knew
            os._exit(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this


def wait_for_end(stream: IO[bytes]) -> None:
    """Leave at once when the other end of the pipe is closed."""
    while stream.read(4096):
        pass
    os._exit(0)


def serve(order: dict[str, Any]) -> tuple[object, dict[str, Any]]:
    """Start llama.cpp's server. The order has `parameters`, and `gpu_parameters` for where one is.

    Both are attributes of CommonParams with their values, dotted where they are deeper.
    """
    import xllamacpp

    devices: list[dict[str, Any]] = xllamacpp.get_device_info()
    cpu = xllamacpp.ggml_backend_dev_type.GGML_BACKEND_DEVICE_TYPE_CPU
    others = xllamacpp.ggml_backend_dev_type.GGML_BACKEND_DEVICE_TYPE_ACCEL
    gpus = [device for device in devices if device["type"] not in (cpu, others)]
    parameters = xllamacpp.CommonParams()
    chosen = order["parameters"] | (order["gpu_parameters"] if gpus else {})
    for path, value in chosen.items():
        *way, name = path.split(".")
        place: Any = parameters
        for step in way:
            place = getattr(place, step)
        setattr(place, name, value)
    server = xllamacpp.Server(parameters)
    return server, {
        "address": server.listening_address,
        "version": xllamacpp.__version__,
        "gpus": [str(device.get("description") or device["name"]) for device in gpus],
    }


if __name__ == "__main__":
    main()
