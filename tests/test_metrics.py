"""The metrics page tells the engine's status to whoever asks on this machine."""

import aiohttp
import pytest

from bot.chat.engines import Standing
from bot.engine.api import EngineState, EngineStatus
from bot.errors import SettingsError
from bot.metrics import MetricsServer


def standings() -> list[Standing]:
    busy = EngineStatus(
        EngineState.READY,
        "demo",
        running=3,
        expected_wait_seconds=1.5,
        guessed_tokens=9,
        accepted_tokens=4,
        restarts=2,
        host_kv_tokens_used=640,
        host_kv_tokens_restored=128,
    )
    return [
        Standing("local", busy, answers=True),
        Standing("fallback:openai", EngineStatus(EngineState.STARTING, ""), answers=False),
    ]


async def test_tells_the_engines_numbers() -> None:
    server = MetricsServer(standings, 0)
    address = await server.start()
    try:
        async with aiohttp.ClientSession() as session, session.get(address) as response:
            assert response.content_type == "text/plain"
            lines = (await response.text()).splitlines()
    finally:
        await server.close()
    assert address.startswith("http://127.0.0.1:")
    for name, first, second in (
        ("ready", "1.0", "0.0"),
        ("answers", "1.0", "0.0"),
        ("running", "3.0", "0.0"),
        ("expected_wait_seconds", "1.5", "0.0"),
        ("guessed_tokens_total", "9.0", "0.0"),
        ("accepted_tokens_total", "4.0", "0.0"),
        ("restarts_total", "2.0", "0.0"),
        ("host_kv_tokens_used", "640.0", "0.0"),
        ("host_kv_tokens_restored_total", "128.0", "0.0"),
    ):
        assert f'caduceus_engine_{name}{{engine="local"}} {first}' in lines
        assert f'caduceus_engine_{name}{{engine="fallback:openai"}} {second}' in lines


async def test_a_taken_port_is_a_plain_error() -> None:
    first = MetricsServer(standings, 0)
    port = int((await first.start()).rpartition(":")[2].partition("/")[0])
    second = MetricsServer(standings, port)
    with pytest.raises(SettingsError, match="METRICS_PORT"):
        await second.start()
    await first.close()
