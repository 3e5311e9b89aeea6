"""Logging: text for people or JSON lines for collectors, on standard error, never with secrets."""

import json
import logging
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TextIO

REDACTED = "«secret»"
# Whatever looks like a Discord token or carries one in a header, ours or not.
_ANY_TOKEN = re.compile(
    r"\b[A-Za-z0-9_-]{23,30}\.[A-Za-z0-9_-]{6,7}\.[A-Za-z0-9_-]{27,90}\b"
    r"|(?<=Bearer )\S+|(?<=Bot )[A-Za-z0-9_.-]{50,}"
)
# Libraries that say at INFO what only their authors want to know.
_QUIET = ("discord", "alembic", "aiosqlite", "asyncio", "httpx", "httpcore", "urllib3", "PIL")


class RedactingFormatter(logging.Formatter):
    """Formats one record, message and traceback, with every secret replaced."""

    def __init__(self, layout: str, *, as_json: bool, secrets: Iterable[str] = ()) -> None:
        super().__init__(layout)
        self._as_json = as_json
        # The longest first: one secret may begin with another.
        self._secrets = sorted({s for s in secrets if len(s) >= 4}, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        """The finished line (in JSON one line, whatever the message holds)."""
        if self._as_json:
            return self._json_line(record)
        return self.redact(super().format(record))

    def redact(self, text: str) -> str:
        """`text` without the secrets that are known, and without anything shaped like one."""
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        return _ANY_TOKEN.sub(REDACTED, text)

    def formatTime(  # noqa: N802 - logging's own name
        self, record: logging.LogRecord, datefmt: str | None = None
    ) -> str:
        """ISO 8601 in UTC, to the millisecond."""
        moment = datetime.fromtimestamp(record.created, tz=UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _json_line(self, record: logging.LogRecord) -> str:
        entry = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.redact(record.getMessage()),
        }
        if record.exc_info:
            entry["traceback"] = self.redact(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False)


class StandardErrorHandler(logging.StreamHandler[TextIO]):
    """Writes to whatever standard error is at that moment, so that progress bars can sit below."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        self.stream = sys.stderr
        super().emit(record)


def configure_logging(level: str, layout: str, secrets: Iterable[str] = ()) -> None:
    """Set up the root logger; replaces what an earlier call set up."""
    handler = StandardErrorHandler()
    handler.setFormatter(
        RedactingFormatter(
            "%(asctime)s %(levelname)-7s %(name)s: %(message)s",
            as_json=layout == "json",
            secrets=secrets,
        )
    )
    root = logging.getLogger()
    for old in [h for h in root.handlers if isinstance(h, StandardErrorHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    number = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(number)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    logging.captureWarnings(True)
