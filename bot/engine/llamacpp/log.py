"""llama.cpp's log, line by line into ours. Read in a thread: it never waits for the event loop."""

import logging
import re
import threading
from collections import deque
from io import BufferedReader

logger = logging.getLogger("bot.engine.llamacpp")

KEPT_LINES = 40
MOST_LINE_CHARACTERS = 1000
PIECE_BYTES = 1 << 16

# «0.00.002.334 E gguf_init_from_reader: ...»
_LINE = re.compile(r"\d+(?:\.\d+){3} ([A-Z]) (.*)", re.DOTALL)
# What it warns of though it is what we want: a reply that is stopped, an old prefix given up.
_ORDINARY = re.compile(
    r"cancel task|purging slot|cache-idle-slots requires|chat template|need to evaluate|n_past was"
)
_LOADING = re.compile(r"error loading model: (?!llama_model_loader: failed to load)(.+)")
# What the C and C++ runtimes and ggml print without a level before they end the process.
_FATAL = re.compile(r"GGML_ASSERT|terminate called|what\(\):|CUDA error|out of memory|abort")


class ChildLog:
    """Takes what the child prints to standard error."""

    def __init__(self) -> None:
        """Nothing has been said."""
        self.is_loading = True  # until it is over, errors are told by whoever asked for the model
        self._kept: deque[tuple[str, str]] = deque(maxlen=KEPT_LINES)
        self._lock = threading.Lock()

    def read(self, stream: BufferedReader) -> None:
        """Take all of it, until the other end is closed. Blocks."""
        line = bytearray()
        is_cut = False
        while piece := stream.read1(PIECE_BYTES):
            *ends, rest = piece.split(b"\n")
            for end in ends:
                if not is_cut:
                    line += end
                self.take(line.decode("utf-8", "replace"))
                line.clear()
                is_cut = False
            if not is_cut:
                line += rest
            if len(line) > 4 * MOST_LINE_CHARACTERS:
                is_cut = True
                del line[4 * MOST_LINE_CHARACTERS :]
        if line:
            self.take(line.decode("utf-8", "replace"))

    def take(self, line: str) -> None:
        """One line."""
        text = "".join(c if c.isprintable() else " " for c in line[:MOST_LINE_CHARACTERS]).strip()
        if not text:
            return
        found = _LINE.fullmatch(text)
        kind, said = (found[1], found[2]) if found else ("", text)
        if not found and _FATAL.search(said):
            kind = "E"
        with self._lock:
            self._kept.append((kind, said))
        logger.log(self._level(kind, said), "llama.cpp: %s", said)

    def _level(self, kind: str, said: str) -> int:
        if self.is_loading or _ORDINARY.search(said):
            return logging.DEBUG
        return {"E": logging.ERROR, "W": logging.WARNING}.get(kind, logging.DEBUG)

    def reason(self) -> str:
        """What it last complained of, without a full stop; "" where it did not."""
        with self._lock:
            errors = [said for kind, said in self._kept if kind == "E"]
        for said in errors:
            if found := _LOADING.search(said):
                return found[1].rstrip(".")
        if not errors:
            return ""
        # Of what goes wrong at a start the first says most, later the last.
        return errors[0 if self.is_loading else -1].rstrip(".")

    def offloaded(self) -> str:
        """How many layers went to cards, as it says it («33/33»); "" where it doesn't."""
        with self._lock:
            lines = [said for _, said in self._kept]
        found = (re.search(r"offloaded (\d+/\d+) layers to GPU", line) for line in lines)
        return next((one[1] for one in found if one), "")
