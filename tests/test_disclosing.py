"""What people are told of the process's settings: where their data goes, and nothing secret."""

import pytest

from bot.chat.privacy.handling import TextReceiver
from bot.disclosing import handling_of
from bot.settings import ProcessSettings


def settings_of(**values: object) -> ProcessSettings:
    return ProcessSettings.model_validate(values)


def test_a_local_model_sends_nothing_away() -> None:
    handling = handling_of(settings_of(engine="fake"))
    assert handling.database == "SQLite"
    assert handling.receivers == (TextReceiver("", is_here=True),)


@pytest.mark.parametrize(
    ("url", "host", "is_here"),
    [
        ("https://models.example.org/v1", "models.example.org", False),
        (
            "https://models.example.org/secret/v1",
            "models.example.org",
            False,
        ),
        ("https://models.example.org:443/v1", "models.example.org", False),
        ("http://10.0.0.5:8000/v1", "10.0.0.5:8000", False),
        ("http://127.0.0.1:8000/v1", "127.0.0.1:8000", True),
        ("http://localhost/v1", "localhost", True),
        ("http://[::1]:8000/v1", "[::1]:8000", True),
        ("http://localhost.example.org/v1", "localhost.example.org", False),
    ],
)
def test_a_server_is_named_by_its_host_alone(url: str, host: str, *, is_here: bool) -> None:
    handling = handling_of(settings_of(engine="openai", openai_base_url=url))
    [receiver] = handling.receivers
    assert (receiver.host, receiver.is_here) == (host, bool(is_here))
    assert "hunter2" not in repr(handling)
    assert "secret" not in repr(handling)


def test_a_second_engine_is_named_too() -> None:
    url = "https://models.example.org/v1"
    settings = settings_of(engine="fake", fallback_engine="openai", openai_base_url=url)
    first, second = handling_of(settings).receivers
    assert first == TextReceiver("", is_here=True)
    assert second == TextReceiver("models.example.org", is_here=False, is_fallback=True)


def test_of_a_database_server_neither_host_nor_password_is_told() -> None:
    url = "postgresql+asyncpg://bot:hunter2@db.example.org/talks"
    handling = handling_of(settings_of(engine="fake", database_url=url))
    assert handling.database == "PostgreSQL"
    assert "hunter2" not in repr(handling)
    assert "db.example.org" not in repr(handling)
