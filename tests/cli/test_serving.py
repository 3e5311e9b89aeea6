"""Starting, serving and stopping: signals, lifetimes, and faults in plain words."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import discord
import pytest

import bot.engine_start
from bot.app import App, open_app
from bot.chat.messages import ChannelKey, IncomingMessage, Speaker, TurnState
from bot.chat.personas.guild.book_files import read_book_file
from bot.chat.personas.guild.lore_workshop import place_of
from bot.cli import serving
from bot.cli.run import connect
from bot.engine.api import Engine, EngineState, GenerationRequest
from bot.engine.chosen import ChosenEngine
from bot.engine.fake import FakeEngine
from bot.engine.remote.engine import OpenAIEngine
from bot.engine_start import build_engine
from bot.errors import (
    CaduceusError,
    EngineError,
    EngineFailed,
    EngineUnavailable,
    ModelError,
    SettingsError,
    UserError,
)
from bot.settings import ProcessSettings

ROOT = Path(__file__).parents[2]
CHANNEL = ChannelKey("test", "1", is_direct=True)


@pytest.fixture
def settings(tmp_path: Path) -> ProcessSettings:
    return ProcessSettings(
        engine="fake", data_dir=tmp_path / "data", personas_dir=ROOT / "personas"
    )


def message(number: int, channel: ChannelKey = CHANNEL) -> IncomingMessage:
    return IncomingMessage(
        str(number), channel, Speaker("9", "Ann"), "Hello?", datetime.now(UTC), mentions_bot=True
    )


class FrontEnd:
    """A front end that answers one message, and says how far it is."""

    def __init__(self) -> None:
        self.app: App | None = None
        self.began = asyncio.Event()
        self.text = ""
        self.closed = False

    @asynccontextmanager
    async def __call__(self, app: App) -> AsyncIterator[None]:
        self.app = app
        await app.engine_start
        answering = asyncio.create_task(self._answer(app))
        try:
            yield None
        finally:
            await answering
            self.closed = True

    async def _answer(self, app: App) -> None:
        await app.conversations.hear(message(1))
        reply = await app.conversations.next_reply(CHANNEL)
        assert reply is not None
        async with reply:
            async for text in reply:
                self.text += text
                await reply.shown(self.text, ["m1"])
                self.began.set()


def use_engine(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    monkeypatch.setattr(bot.engine_start, "build_engine", lambda _settings: engine)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_the_running_reply_finish_and_begins_no_other(
    settings: ProcessSettings, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    gate = asyncio.Semaphore(1)
    engine = FakeEngine(["One two three four five six."], gate=gate, chunk_characters=4)
    use_engine(monkeypatch, engine)
    closing = asyncio.Event()
    close = App.close_conversations

    async def close_and_tell(app: App) -> None:
        closing.set()
        await close(app)

    monkeypatch.setattr(App, "close_conversations", close_and_tell)
    front = FrontEnd()
    served = asyncio.create_task(serving._serve(settings, front, engine_first=False))
    await front.began.wait()
    os.kill(os.getpid(), number)
    await closing.wait()
    assert front.app is not None
    other = ChannelKey("test", "2", is_direct=True)
    await front.app.conversations.hear(message(2, other))
    assert await front.app.conversations.next_reply(other) is None
    assert not served.done()
    for _ in range(50):
        gate.release()
    await served
    assert front.text == "One two three four five six."
    assert front.closed
    async with open_app(settings) as again:
        window = await again.database.history.window(CHANNEL, 10)
        assert [turn.text for turn in window.turns] == ["Hello?", front.text]
        assert window.turns[1].state is TurnState.WHOLE


async def test_a_guilds_lorebooks_count_in_what_is_served(
    settings: ProcessSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine(["Grey."])
    use_engine(monkeypatch, engine)
    channel = ChannelKey("test", "5", guild_id="7")
    book = b'{"name": "Coast", "entries": {"0": {"key": ["hello"], "content": "The sea is grey."}}}'
    async with open_app(settings) as app:
        await app.engine_start
        books = app.desk.lorebooks
        kept = await books.take("7", read_book_file("coast.json", book), "ann")
        await books.attach(kept, place_of("guild", channel))
        await app.conversations.hear(message(1, channel))
        reply = await app.conversations.next_reply(channel)
        assert reply is not None
        async with reply:
            assert [text async for text in reply]
        assert "The sea is grey." in engine.requests[0].prompt


async def test_what_outlasts_the_grace_is_cut_as_far_as_it_was_shown(
    settings: ProcessSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(App.close_conversations, "__defaults__", (0.05,))
    gate = asyncio.Semaphore(1)
    use_engine(monkeypatch, FakeEngine(["One two three."], gate=gate, chunk_characters=4))
    front = FrontEnd()
    served = asyncio.create_task(serving._serve(settings, front, engine_first=True))
    await front.began.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await served
    assert 0 < len(front.text) < len("One two three.")
    async with open_app(settings) as again:
        turn = (await again.database.history.window(CHANNEL, 10)).turns[-1]
        assert (turn.text, turn.state) == (front.text, TurnState.CUT)


async def test_a_model_that_cannot_be_loaded_ends_the_process_with_its_error(
    settings: ProcessSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for engine_first in (True, False):
        use_engine(monkeypatch, Broken())
        entered: list[App] = []

        @asynccontextmanager
        async def front_end(app: App, entered: list[App] = entered) -> AsyncIterator[None]:
            entered.append(app)
            yield None

        with pytest.raises(ModelError, match="cut off"):
            await serving._serve(settings, front_end, engine_first=engine_first)
        assert len(entered) == (0 if engine_first else 1)


class Broken(FakeEngine):
    """An engine whose model cannot be loaded."""

    async def start(self) -> None:
        raise ModelError("The weights are cut off.", "Download them again.")


class Slow(FakeEngine):
    """An engine that loads until it is let go."""

    def __init__(self, *replies: str) -> None:
        super().__init__(replies or ["Slow but sure."])
        self.loading = asyncio.Event()
        self.loaded = asyncio.Event()

    async def start(self) -> None:
        self.loading.set()
        await self.loaded.wait()
        await super().start()


class Unreachable(FakeEngine):
    """A server that is not there yet: no fault, and not ready either."""

    async def start(self) -> None:
        pass


def use_engines(
    monkeypatch: pytest.MonkeyPatch, settings: ProcessSettings, first: Engine, second: Engine
) -> ProcessSettings:
    """Settings with two engines, which are these."""
    by_name = {"fake": first, "openai": second}
    monkeypatch.setattr(bot.engine_start, "build_engine", lambda given: by_name[given.engine])
    return settings.model_copy(update={"fallback_engine": "openai"})


async def until(condition: Callable[[], object]) -> None:
    """Wait for what is about to happen."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nobody would set an event
            await asyncio.sleep(0)


async def answer(app: App) -> str:
    """What somebody is answered."""
    await app.conversations.hear(message(1))
    reply = await app.conversations.next_reply(CHANNEL)
    assert reply is not None
    text = ""
    async with reply:
        async for piece in reply:
            text += piece
            await reply.shown(text, ["m1"])
    return text


async def test_the_second_engine_answers_while_the_first_one_loads(
    settings: ProcessSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Slow(), FakeEngine(["In its place."])
    async with open_app(use_engines(monkeypatch, settings, first, second)) as app:
        await app.engine_start
        assert await answer(app) == "In its place."
        first.loaded.set()
        await until(lambda: app.engines.answering().name == "fake")
    assert first.status().state is second.status().state is EngineState.STOPPED


async def test_a_first_engine_that_cannot_be_started_is_told_and_replaced(
    settings: ProcessSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    second = Slow("In its place.")
    async with open_app(use_engines(monkeypatch, settings, Broken(), second)) as app:
        await second.loading.wait()
        await asyncio.sleep(0)
        assert not app.engine_start.done()
        second.loaded.set()
        await app.engine_start
        assert await answer(app) == "In its place."
        first = app.engines.standings()[0]
        assert (first.name, first.status.state) == ("fake", EngineState.STOPPED)
        assert "cut off" in first.status.last_error
    assert "fake could not be started: The weights are cut off." in caplog.text


@pytest.mark.parametrize("first", [FakeEngine, Unreachable])
async def test_a_second_engine_that_cannot_be_started_ends_nothing(
    settings: ProcessSettings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    first: type[FakeEngine],
) -> None:
    async with open_app(use_engines(monkeypatch, settings, first(["I."]), Broken())) as app:
        await app.engine_start
        assert await answer(app) == "I."
        await until(lambda: "cut off" in app.engines.standings()[1].status.last_error)
    assert "fallback:openai could not be started" in caplog.text


async def test_where_neither_can_be_started_the_first_ones_error_is_raised(
    settings: ProcessSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Worse(FakeEngine):
        async def start(self) -> None:
            raise ModelError("There is no such model.", "Name another.")

    async with open_app(use_engines(monkeypatch, settings, Broken(), Worse())) as app:
        with pytest.raises(ModelError, match="cut off"):
            await app.engine_start


async def test_where_the_other_one_may_still_come_a_failed_first_start_ends_nothing(
    settings: ProcessSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_app(use_engines(monkeypatch, settings, Broken(), Unreachable())) as app:
        await app.engine_start
        assert app.engines.answering().name == "fallback:openai"


async def test_two_models_on_this_machine_are_loaded_one_after_the_other(
    settings: ProcessSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Slow(), Slow()
    by_model = {"demo": second, "big": first}
    monkeypatch.setattr(bot.engine_start, "build_engine", lambda given: by_model[given.model])
    two = {"engine": "local", "model": "big", "fallback_engine": "local"}
    async with open_app(settings.model_copy(update=two)) as app:
        await first.loading.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not second.loading.is_set()
        first.loaded.set()
        await app.engine_start
        await second.loading.wait()
    assert second.status().state is EngineState.STOPPED


async def test_a_signal_while_the_model_is_loading_ends_it(
    settings: ProcessSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow()
    use_engine(monkeypatch, slow)

    @asynccontextmanager
    async def front_end(_app: App) -> AsyncIterator[None]:
        raise AssertionError("the model is not ready")
        yield

    served = asyncio.create_task(serving._serve(settings, front_end, engine_first=True))
    await slow.loading.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    await served


class Losing(FakeEngine):
    """Fails its first reply by a fault that lasts as long as the process."""

    fault = EngineFailed("The model stopped on a fault.", "The program ends, to be started anew.")

    def __init__(self) -> None:
        super().__init__(fail_with=self.fault)
        self.is_lost = asyncio.Event()

    def _check(self, request: GenerationRequest) -> None:
        super()._check(request)
        self.is_lost.set()

    async def lost(self) -> EngineError:
        await self.is_lost.wait()
        return self.fault


@pytest.mark.parametrize("engine_first", [True, False])
async def test_a_fault_that_lasts_ends_the_process_after_the_answer(
    settings: ProcessSettings, monkeypatch: pytest.MonkeyPatch, engine_first: bool
) -> None:
    use_engine(monkeypatch, Losing())
    lines: list[str] = []

    class Telling(FrontEnd):
        async def _answer(self, app: App) -> None:
            await app.conversations.hear(message(1))
            reply = await app.conversations.next_reply(CHANNEL)
            assert reply is not None
            async with reply:
                async for _ in reply:
                    pass
                lines.append(reply.outcome.error if reply.outcome else "")

    front_end = Telling()
    with pytest.raises(EngineFailed, match="started anew") as caught:
        async with asyncio.timeout(20):
            await serving._serve(settings, front_end, engine_first=engine_first)
    assert front_end.closed
    assert lines != [""]
    assert len(lines) == 1
    assert not isinstance(caught.value, UserError)  # so the exit code is 1


async def test_a_front_end_that_fails_ends_the_process_with_its_error(
    settings: ProcessSettings,
) -> None:
    async def fail() -> None:
        raise SettingsError("Discord refused DISCORD_TOKEN.", "Get another.")

    @asynccontextmanager
    async def front_end(_app: App) -> AsyncIterator[asyncio.Task[None]]:
        yield asyncio.create_task(fail())

    with pytest.raises(SettingsError, match="refused"):
        await serving._serve(settings, front_end, engine_first=True)


async def test_the_app_builds_all_and_takes_all_down(settings: ProcessSettings) -> None:
    engine = FakeEngine()
    async with open_app(settings, engine=engine) as app:
        await app.engine_start
        assert app.conversations.engines is app.engines
        assert [named.name for named in app.engines.all] == ["fake"]
        assert engine.status().state is EngineState.READY
        assert "Caduceus" in [persona.name for persona in await app.personas.listed(None)]
        before = {task.get_name() for task in asyncio.all_tasks()}
        assert "personas" in before
    assert "personas" not in {task.get_name() for task in asyncio.all_tasks()}
    with pytest.raises(EngineUnavailable):
        async for _ in engine.generate(None):  # type: ignore[arg-type]
            pass


async def test_the_owners_defaults_reach_the_conversation(settings: ProcessSettings) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / "defaults.toml").write_text('top_k = 7\npersona = "quill"\n')
    async with open_app(settings) as app:
        found = await app.conversations.settings.resolve(CHANNEL)
        assert (found.top_k, found.persona) == (7, "file:quill")
    (settings.data_dir / "defaults.toml").write_text('persona = "nobody"\n')
    with pytest.raises(SettingsError, match="nobody"):
        async with open_app(settings):
            pass


async def test_metrics_are_served_when_asked_for(settings: ProcessSettings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        asked = settings.model_copy(update={"metrics_port": port})
        with pytest.raises(SettingsError, match="METRICS_PORT"):
            async with open_app(asked):
                pass
    address = f"http://127.0.0.1:{port}/metrics"
    async with (
        open_app(asked),
        aiohttp.ClientSession() as session,
        session.get(address) as response,
    ):
        assert "caduceus_engine_ready" in await response.text()


async def test_wrong_settings_are_refused_before_anything_is_made(
    settings: ProcessSettings, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="chatml"):
        async with open_app(settings.model_copy(update={"prompt_format": "chatlm"})):
            pass
    assert not settings.data_dir.exists()
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(SettingsError, match="DATA_DIR"):
        async with open_app(settings.model_copy(update={"data_dir": blocked})):
            pass


async def test_each_engine_is_built_from_its_settings(settings: ProcessSettings) -> None:
    assert isinstance(build_engine(settings), FakeEngine)
    remote = {"engine": "openai", "openai_base_url": "http://127.0.0.1:9/v1"}
    assert isinstance(build_engine(settings.model_copy(update=remote)), OpenAIEngine)
    local = build_engine(settings.model_copy(update={"engine": "local"}))
    assert isinstance(local, ChosenEngine)
    assert local.status().model == "demo"


class Refusing:
    """A client whose connection ends with an exception."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def start(self, _token: str) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "kind", "named"),
    [
        (discord.LoginFailure("Improper token"), SettingsError, "DISCORD_TOKEN"),
        (discord.PrivilegedIntentsRequired(None), SettingsError, "Message Content"),
        (aiohttp.ClientConnectionError("no route"), CaduceusError, "cannot be reached"),
        (TimeoutError(), CaduceusError, "cannot be reached"),
        (discord.GatewayNotFound(), CaduceusError, "Discord"),
    ],
)
async def test_discords_refusals_are_plain_words(
    error: Exception, kind: type[CaduceusError], named: str
) -> None:
    with pytest.raises(kind, match=named) as caught:
        await connect(Refusing(error), "t")  # type: ignore[arg-type]
    assert caught.value.fix
    assert isinstance(caught.value, UserError) is (kind is SettingsError)


HANGING = """
import asyncio, sys
from contextlib import asynccontextmanager
from pathlib import Path
from bot.chat.personas.guild.book_files import read_book_file
from bot.chat.personas.guild.lore_workshop import place_of
from bot.cli import serving
from bot.settings import ProcessSettings

@asynccontextmanager
async def front_end(app):
    print("serving", flush=True)
    try:
        yield None
    finally:
        print("closing", flush=True)
        await asyncio.Event().wait()

serving.ECHO_SECONDS = 0
settings = ProcessSettings(
    engine="fake", data_dir=Path(sys.argv[1]), personas_dir=Path(sys.argv[2])
)
serving.serve(settings, front_end, engine_first=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_signal_ends_at_once(tmp_path: Path, number: signal.Signals, code: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HANGING), tmp_path / "d", ROOT / "personas"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "serving\n"
        process.send_signal(number)
        assert process.stdout.readline() == "closing\n"
        process.send_signal(number)
        try:
            assert process.wait(20) == code
        finally:
            process.kill()
        assert "second signal" in process.stderr.read().splitlines()[-1]


@pytest.mark.parametrize(("echo_seconds", "codes"), [(60, []), (0, [130])])
async def test_a_signal_that_arrives_twice_at_once_is_one(
    monkeypatch: pytest.MonkeyPatch, echo_seconds: float, codes: list[int]
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(serving, "end_at_once", ended.append)
    monkeypatch.setattr(serving, "ECHO_SECONDS", echo_seconds)
    async with serving.stop_signal() as told:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        await told
        read, written = socket.socketpair()
        with read, written:  # what the loop finds ready after the signals' own pipe
            written.send(b"x")
            read.setblocking(False)
            await asyncio.get_running_loop().sock_recv(read, 1)
    assert ended == codes


@pytest.mark.slow
def test_the_page_is_served_and_stopped_by_a_signal(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "bot", "workbench", "--port", "0"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "ENGINE": "fake",
            "PERSONAS_DIR": str(ROOT / "personas"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Caduceus is at http://127.0.0.1:")
        process.send_signal(signal.SIGTERM)
        try:
            assert process.wait(20) == 0
        finally:
            process.kill()


@pytest.mark.slow
def test_a_taken_port_is_named_with_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = subprocess.run(
            [sys.executable, "-m", "bot", "workbench", "--port", port],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "ENGINE": "fake",
                "PERSONAS_DIR": str(ROOT / "personas"),
            },
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert result.returncode == 2
    last = result.stderr.splitlines()[-1]
    assert last.startswith("caduceus: ")
    assert port in last
    assert "--port" in last
