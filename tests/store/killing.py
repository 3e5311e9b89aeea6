"""Programs that write to a database until they are killed."""

import subprocess
import sys
from pathlib import Path


def run_and_kill(
    program: str, url: str, start: int, seconds: float, samples: Path = Path(__file__).parent
) -> list[list[str]]:
    """Let a program work for a while, kill it, and return the words that it had acknowledged.

    It is given the database's address, the first number that it may use, and the folder of the
    `samples` that it imports. It says "open" once it is about to write.
    """
    child = subprocess.Popen(
        [sys.executable, "-c", program, url, f"{start}", str(samples)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == "open\n"
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
        rest = child.stdout.read()
        assert child.wait() == -9
    finally:
        child.stdout.close()
    complete = rest[: rest.rfind("\n") + 1]
    return [line.split() for line in complete.splitlines()]
