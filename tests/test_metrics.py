"""The metrics page tells the engine's status to whoever asks on this machine."""

import aiohttp
import pytest

from bot.engine.api import EngineState, EngineStatus
from bot.errors import SettingsError
from bot.metrics import MetricsServer


def status() -> EngineStatus:
    return EngineStatus(EngineState.READY, "demo", running=3, expected_wait_seconds=1.5, restarts=2)


async def test_tells_the_engines_numbers() -> None:
    server = MetricsServer(status, 0)
    address = await server.start()
    try:
        async with aiohttp.ClientSession() as session, session.get(address) as response:
            assert response.content_type == "text/plain"
            lines = (await response.text()).splitlines()
    finally:
        await server.close()
    assert address.startswith("http://127.0.0.1:")
    for line in ("ready 1.0", "running 3.0", "expected_wait_seconds 1.5", "restarts_total 2.0"):
        assert f"caduceus_engine_{line}" in lines


async def test_a_taken_port_is_a_plain_error() -> None:
    first = MetricsServer(status, 0)
    port = int((await first.start()).rpartition(":")[2].partition("/")[0])
    second = MetricsServer(status, port)
    with pytest.raises(SettingsError, match="METRICS_PORT"):
        await second.start()
    await first.close()
