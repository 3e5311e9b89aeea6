"""The command line: ``python -m bot [command]``. Imports nothing heavy before it knows the command.

Without a command: the Discord bot when DISCORD_TOKEN is set, else the local page. A fault ends in
one last line that says what to do; exit code 2 is the user's mistake, 1 is ours.
"""

import argparse
import errno
import importlib
import logging
import os
import sys
import threading
from collections.abc import Sequence
from types import ModuleType, TracebackType
from typing import NoReturn

from bot import __version__
from bot.engine.machine.threads import set_wait_policy
from bot.errors import CaduceusError, UserError
from bot.invocation import program

COMMANDS = {
    "run": "the Discord bot",
    "workbench": "the local page, on 127.0.0.1 only",
    "doctor": "check settings, token, permissions, model and GPU, and say what to do",
    "model": "find a model for this machine, download it, use it",
    "persona": "personas without Discord: list, show, check, import, export",
    "db": "the database: upgrade, check, export",
    "talk": "play written conversations against the engine, and measure them",
    "bench": "measure how fast the engine is on this machine",
}
# `doctor` says itself what is wrong with them, `model` helps out of a wrong MODEL.
WITHOUT_SETTINGS = frozenset({"doctor", "model"})

ASKING = frozenset({"-h", "--help", "--version"})

ENGINE_THREAD = "engine"  # what threads are called that prepare or run a model

UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})  # a full disk, or its like

EXIT_OURS = 1
EXIT_USERS = 2
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        try:
            return _run(list(sys.argv[1:] if arguments is None else arguments))
        finally:
            if sys.stdout is not None:  # pyright: ignore[reportUnnecessaryComparison] - `>&-`
                sys.stdout.flush()
    except UserError as error:
        return _end(error, EXIT_USERS)
    except CaduceusError as error:
        return _end(error, EXIT_OURS)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _drop_output()  # nobody reads on (`... | head`)
        return EXIT_OURS
    except OSError as error:
        if error.filename is not None or error.errno not in UNWRITABLE:
            raise
        _drop_output()
        fix = "Make room where the output and DATA_DIR go."
        return _end(UserError(f"It cannot be written: {error.strerror}.", fix), EXIT_USERS)


def _drop_output() -> None:
    """Python would complain once more when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(given: list[str]) -> int:
    set_wait_policy()
    if not given or (given[0].startswith("-") and given[0] not in ASKING):
        given = [_command_without_arguments(), *given]  # `make run ARGS="--port 9000"`
    command = next((word for word in given if not word.startswith("-")), "")
    module = importlib.import_module(f"bot.cli.{command}") if command in COMMANDS else None
    parsed = build_parser(command, module).parse_args(given)
    if module is None:
        raise AssertionError("the parser lets no unknown command pass")
    if command in WITHOUT_SETTINGS:
        return int(module.run(parsed, None))
    from bot.logs import configure_logging
    from bot.settings import load_settings

    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format, settings.secrets())
    return int(module.run(parsed, settings))


def _command_without_arguments() -> str:
    from bot.settings import load_settings

    return "run" if load_settings().discord_token else "workbench"


class _Parser(argparse.ArgumentParser):
    """Ends as every other mistake does: in one line that says what to do."""

    def error(self, message: str) -> NoReturn:
        """Raises UserError."""
        self.print_usage(sys.stderr)
        raise UserError(f"{message[:1].upper()}{message[1:]}.", f"See `{self.prog} --help`.")


def build_parser(command: str, module: ModuleType | None) -> argparse.ArgumentParser:
    """All commands with one line each; the arguments of `command` alone, which `module` adds."""
    parser = _Parser(
        prog=program(),
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=18),
        description="Caduceus, a self-hosted chat and roleplay bot for Discord.",
        epilog="Without a command: the Discord bot when DISCORD_TOKEN is set, else the local "
        "page. Settings come from the environment and .env; see .env.example.",
    )
    parser.add_argument("--version", action="version", version=f"Caduceus {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, help_text in COMMANDS.items():
        below = commands.add_parser(name, help=help_text, description=_sentence(help_text))
        if name == command and module is not None:
            module.add_arguments(below)
    return parser


def _sentence(text: str) -> str:
    """The text with a capital and a full stop; «GPU» and «Discord» within it stay as they are."""
    return f"{text[:1].upper()}{text[1:]}."


def _end(error: CaduceusError, code: int) -> int:
    logging.getLogger(__name__).debug("where it happened:", exc_info=error)
    print(_one_line(f"caduceus: {error}"), file=sys.stderr)
    return code


def _one_line(text: str) -> str:
    """Without what a terminal obeys: names and values come from files, servers and slips."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def leave(code: int) -> None:
    """End at once where a model is still being prepared: nothing could interrupt that.

    Python would let its threads run into a library that is being taken down: once, an abort.
    """
    if any(thread.name == ENGINE_THREAD for thread in threading.enumerate()):
        from bot.cli.leaving import end_at_once

        end_at_once(code)


def report_fault(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """What nobody foresaw: the traceback goes into the log at debug, people get one line."""
    logging.getLogger(__name__).debug("where it happened:", exc_info=(kind, error, traceback))
    said = str(error).strip().splitlines()
    line = (
        f"caduceus: this is a fault of Caduceus: {kind.__name__}{f': {said[0]}' if said else ''}. "
        "Start again with LOG_LEVEL=debug to see where, and report it with those lines."
    )
    print(_one_line(line), file=sys.stderr)


if __name__ == "__main__":
    sys.excepthook = report_fault
    code = main()
    leave(code)
    sys.exit(code)
