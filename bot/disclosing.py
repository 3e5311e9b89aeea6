"""What the settings of the process mean for people's data, without anything that is secret."""

import ipaddress
from urllib.parse import urlsplit

from bot.chat.privacy.handling import Handling, TextReceiver
from bot.settings import ProcessSettings

_PORTS = {"http": 80, "https": 443}


def handling_of(settings: ProcessSettings) -> Handling:
    """Where what people say is kept, and who gets it to write replies."""
    fallback = settings.fallback()
    receivers = [_receiver(settings)]
    if fallback is not None:
        receivers.append(_receiver(fallback, is_fallback=True))
    is_sqlite = settings.database_url.startswith("sqlite")
    return Handling("SQLite" if is_sqlite else "PostgreSQL", tuple(receivers))


def _receiver(settings: ProcessSettings, *, is_fallback: bool = False) -> TextReceiver:
    if settings.engine != "openai":
        return TextReceiver("", is_here=True, is_fallback=is_fallback)
    host, is_here = _host(settings.openai_base_url)
    return TextReceiver(host, is_here=is_here, is_fallback=is_fallback)


def _host(url: str) -> tuple[str, bool]:
    """A server by its name and port alone, and whether it is this machine.

    An address may hold a password or a key, as its user, its path or its query: none of it is told.
    """
    parts = urlsplit(url)
    name = parts.hostname or "an unknown server"
    is_usual = parts.port is None or parts.port == _PORTS.get(parts.scheme)
    shown = f"[{name}]" if ":" in name else name
    return shown if is_usual else f"{shown}:{parts.port}", _is_this_machine(name)


def _is_this_machine(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
