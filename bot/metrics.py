"""Numbers for Prometheus, on loopback, when METRICS_PORT is set.

The text format is https://prometheus.io/docs/instrumenting/exposition_formats/.
"""

from collections.abc import Callable, Iterator, Sequence

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from bot.chat.engines import Standing
from bot.engine.api import EngineState
from bot.errors import SettingsError

HOST = "127.0.0.1"

LABELS = ("engine",)
GAUGES: dict[str, str] = {
    "running": "Replies being generated.",
    "waiting": "Requests in the queue.",
    "slots": "Most requests that can run together.",
    "kv_tokens_used": "Tokens held in the KV cache.",
    "kv_tokens_total": "Room of the KV cache, in tokens.",
    "host_kv_tokens_used": "Tokens held in the machine's memory, beside the KV cache.",
    "host_kv_tokens_total": "Room for tokens in the machine's memory.",
    "expected_wait_seconds": "Expected wait of a request made now.",
    "tokens_per_second": "Tokens generated a second, over all replies, lately.",
}
COUNTERS: dict[str, str] = {
    "guessed_tokens": "Tokens that were guessed ahead and checked.",
    "accepted_tokens": "Guessed tokens that were right.",
    "restarts": "Restarts after a failure.",
    "host_kv_tokens_restored": "Tokens copied back from the machine's memory instead of computed.",
}


class EngineCollector(Collector):
    """Reads the engines' status at each scrape."""

    def __init__(self, standings: Callable[[], Sequence[Standing]]) -> None:
        self._standings = standings

    def collect(self) -> Iterator[Metric]:
        """The status as metric families `caduceus_engine_...`, labelled with the engine's name."""
        standings = self._standings()
        for field, text in GAUGES.items():
            gauge = GaugeMetricFamily(f"caduceus_engine_{field}", text, labels=LABELS)
            for one in standings:
                gauge.add_metric([one.name], getattr(one.status, field))
            yield gauge
        for field, text in COUNTERS.items():
            counter = CounterMetricFamily(f"caduceus_engine_{field}", text, labels=LABELS)
            for one in standings:
                counter.add_metric([one.name], getattr(one.status, field))
            yield counter
        ready = GaugeMetricFamily("caduceus_engine_ready", "1 when it can answer.", labels=LABELS)
        answers = GaugeMetricFamily(
            "caduceus_engine_answers", "1 for the one that is asked now.", labels=LABELS
        )
        for one in standings:
            ready.add_metric([one.name], float(one.status.state is EngineState.READY))
            answers.add_metric([one.name], float(one.answers))
        yield from (ready, answers)


class MetricsServer:
    """`GET /metrics` on 127.0.0.1."""

    def __init__(self, standings: Callable[[], Sequence[Standing]], port: int) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(EngineCollector(standings))
        self._port = port
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Listen, and return the address. Raises SettingsError when the port is taken."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, self._port).start()
        except OSError as error:
            await self.close()
            raise SettingsError(
                f"Port {self._port} cannot be used for the metrics ({error.strerror}).",
                "Set METRICS_PORT to another, or to 0 for none.",
            ) from error
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}/metrics"

    async def close(self) -> None:
        """Stop listening. Idempotent."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _metrics(self, request: web.Request) -> web.Response:
        text = generate_latest(self._registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})
