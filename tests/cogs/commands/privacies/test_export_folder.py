"""What an export writes on the way is gone at the next start, however the last one ended."""

import os
import subprocess
import sys
from pathlib import Path

from cogs.commands.privacies.export import PREFIX, remove_left_over


def test_folders_of_processes_that_are_gone_are_deleted_and_others_stay(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        with subprocess.Popen([sys.executable, "-c", ""]) as gone:
            gone.wait()
        names = [f"{PREFIX}{number}-abc" for number in (gone.pid, os.getpid(), other.pid)]
        names += [f"{PREFIX}-odd", "export-somebodys"]
        for name in names:
            (tmp_path / name).mkdir()
            (tmp_path / name / "1.json").write_text("{}")

        remove_left_over(tmp_path)

        assert sorted(one.name for one in tmp_path.iterdir()) == sorted(names[2:])
        other.kill()


def test_a_link_in_their_place_is_not_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    (tmp_path / f"{PREFIX}{os.getpid()}-abc").symlink_to(kept)

    remove_left_over(tmp_path)

    assert (kept / "file").exists()
