"""One run of the benchmark: the floor, `generate()`, the engine under load, the chat."""

# pyright: reportUnknownMemberType=false
# (an edge to a library that is only partly typed)

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from bot.bench import floor
from bot.bench.baseline import NO_TOKEN, Baseline, give_back_memory, load_reference
from bot.bench.checkpoint import make_checkpoint
from bot.bench.load import Load
from bot.bench.machine import describe_machine, load_average, memory_bytes
from bot.bench.plan import Plan
from bot.bench.prompts import PromptMaker, RandomWordMaker, fixed_text
from bot.bench.results import LoadResult, PeerResult, Results
from bot.bench.rounds import Rounds, Say
from bot.bench.vllm.session import measure_vllm
from bot.engine.building import build_runner
from bot.engine.local.engine import LocalEngine
from bot.engine.local.faults import forget_frames
from bot.engine.local.runner import CACHE_BITS
from bot.engine.local.tokens import TextTokens
from bot.errors import CaduceusError, SettingsError

if TYPE_CHECKING:
    from bot.engine.local.loaded_model import LoadedModel

CACHE_NAME = "benchmark"  # under DATA_DIR

Keep = Callable[[Results], None]


def _forget(_results: Results) -> None:
    """Where only the last results count."""


class Session:
    """Measures what a plan asks for. What fails is noted, and the rest is measured all the same."""

    def __init__(
        self, plan: Plan, data_dir: Path, command: str, *, say: Say, keep: Keep = _forget
    ) -> None:
        """`command` is written down with the results.

        `say` tells a person what is being done; `keep` gets the results so far, every round.
        """
        self._plan = plan
        self._data_dir = data_dir
        self._command = command
        self._tell = say
        self._keep = keep
        self._told = ""
        self._load_average = load_average()
        self._bandwidth = 0.0
        self._loaded: LoadedModel | None = None
        self._baseline: Baseline | None = None  # where it takes turns with the engine
        self._baseline_results: tuple[LoadResult, ...] = ()
        self._baseline_missing = "" if plan.baseline_tokens else "left out"
        self._rounds: Rounds | None = None
        self._memory_bytes: dict[Load, int] = {}
        self._peer: PeerResult | None = None

    async def run(self) -> Results:
        """All of it. Raises CaduceusError when the model cannot be loaded or served."""
        from bot.engine.portable.loading import choose_device

        plan = self._plan
        device = choose_device()
        if plan.gpu_memory_gb and device.type == "cuda":
            total = torch.cuda.mem_get_info(device)[1]
            torch.cuda.set_per_process_memory_fraction(
                min(plan.gpu_memory_gb * 1e9 / total, 1.0), device
            )
        self._say("Measuring the memory's bandwidth")
        self._bandwidth = floor.copy_bandwidth(device)
        model = plan.model or await asyncio.to_thread(self._make_checkpoint)
        if plan.peer is not None:
            self._peer = await measure_vllm(
                plan,
                plan.peer,
                model,
                self._data_dir,
                device,
                self._prompt_maker,
                say=self._say,
                keep=lambda found: self._keep(self._with_peer(found, model, device)),
            )
        if device.type == "cuda" and plan.baseline_tokens:
            await asyncio.to_thread(self._measure_baseline_first, model)
        engine = LocalEngine(
            lambda: self._load(model),
            build_runner,
            max_rows=plan.rows,
            cache_bits=CACHE_BITS[plan.kv_cache],
            guess_ahead=plan.guess_ahead,
            model=model,
        )
        self._say("Starting the engine")
        await engine.start()
        try:
            return await self._measure(engine, device)
        finally:
            await engine.close()

    def _make_checkpoint(self) -> str:
        if self._plan.shapes is None:
            raise SettingsError("Neither a model nor shapes were given.", "Name one of them.")
        self._say(f"Making a checkpoint with random weights: {self._plan.shapes.name}")
        return str(make_checkpoint(self._plan.shapes, self._data_dir / CACHE_NAME))

    def _load(self, model: str) -> "LoadedModel":
        """The model as the bot loads it, but nothing it says ends a reply."""
        from bot.engine.building import load_model

        loaded = load_model(model, data_dir=self._data_dir, progress=self._report)
        loaded.end_tokens = (NO_TOKEN,)
        self._loaded = loaded
        return loaded

    def _report(self, text: str, _fraction: float | None) -> None:
        self._say(text)

    def _say(self, text: str) -> None:
        if text != self._told:
            self._told = text
            self._tell(text)

    async def _measure(self, engine: LocalEngine, device: torch.device) -> Results:
        plan = self._plan
        loaded = cast("LoadedModel", self._loaded)
        plan.check_fits(engine.info.context_tokens)
        prompts = await asyncio.to_thread(self._prompt_maker, loaded.tokenizer)
        self._rounds = rounds = Rounds(
            engine,
            prompts,
            plan.loads(),
            plan.chats,
            say=self._say,
            keep=lambda: self._keep(self._results(engine, device)),
        )
        if plan.baseline_tokens and loaded.model is not None and device.type == "cpu":
            self._baseline = Baseline(loaded.model, self._plan.baseline_loads())
        await rounds.warm_up()
        if self._baseline is not None:
            await asyncio.to_thread(self._baseline.warm_up, prompts)
        for repeat in range(plan.repeats):
            which = f"Round {repeat + 1} of {plan.repeats}"
            await rounds.run_loads(which, lambda load: self._note_memory(load, device))
            if self._baseline is not None:
                self._say(f"{which}: generate()")
                await asyncio.to_thread(self._baseline.run, prompts)
                self._baseline_results = self._baseline.results()
        for repeat in range(plan.repeats):
            await rounds.run_chats(f"Round {repeat + 1} of {plan.repeats}")
        return self._results(engine, device)

    def _note_memory(self, load: Load, device: torch.device) -> None:
        taken = self._memory_bytes.get(load, 0)
        self._memory_bytes[load] = max(taken, memory_bytes(device))

    def _with_peer(self, found: PeerResult, model: str, device: torch.device) -> Results:
        """What there is before our engine has started."""
        self._peer = found
        return Results(
            date=_today(),
            command=self._command,
            machine=describe_machine(device),
            load_average=self._load_average,
            model=Path(model).name,
            device=str(device),
            kernel="not measured yet",
            rows=0,
            kv_room_tokens=0,
            copy_bytes_per_second=self._bandwidth,
            weight_bytes=0,
            kv_token_bytes=0,
            loads=(),
            peer=found,
            complete=False,
        )

    def _results(self, engine: LocalEngine, device: torch.device) -> Results:
        """As far as it has come."""
        loaded, measured = cast("LoadedModel", self._loaded), cast(Rounds, self._rounds)
        status = engine.status()
        weights = floor.weight_bytes(loaded)
        kv_token = floor.kv_token_bytes(loaded, CACHE_BITS[self._plan.kv_cache])
        mean_tokens = self._plan.prompt_tokens + self._plan.new_tokens / 2
        return Results(
            date=_today(),
            command=self._command,
            machine=describe_machine(device),
            load_average=self._load_average,
            model=engine.info.name,
            device=status.device,
            kernel=status.kernel,
            rows=status.slots,
            kv_room_tokens=status.kv_tokens_total,
            copy_bytes_per_second=self._bandwidth,
            weight_bytes=weights,
            kv_token_bytes=kv_token,
            loads=tuple(
                LoadResult(
                    load,
                    tuple(rounds),
                    self._memory_bytes.get(load, 0),
                    floor.floor_seconds(
                        weights, kv_token, load.streams, mean_tokens, self._bandwidth
                    ),
                )
                for load, rounds in measured.loads.items()
                if rounds
            ),
            baseline=self._baseline_results,
            baseline_missing=self._baseline_missing,
            chats=measured.chat_results(),
            peer=self._peer,
            notes=(*self._plan.notes(status.slots), *measured.failures),
            complete=not measured.failures and (self._peer is None or self._peer.complete),
        )

    def _prompt_maker(self, tokenizer: Any) -> PromptMaker:
        tokens = TextTokens(tokenizer)
        if not self._plan.model and self._plan.shapes is not None:
            return RandomWordMaker(tokens, self._plan.shapes.vocabulary)
        return PromptMaker(tokens, fixed_text())

    def _measure_baseline_first(self, model: str) -> None:
        """On a GPU both do not fit at once: `generate()` is measured before the engine loads."""
        self._say("Loading the model for generate()")
        try:
            self._baseline_results = self._baseline_alone(model)
        except (CaduceusError, ImportError, RuntimeError, ValueError, TypeError, OSError) as error:
            # Without it the engine's own figures are worth having all the same.
            self._baseline_missing = f"{type(error).__name__}: {error}"
            self._say(f"generate() cannot be measured: {error}")
        # What a library keeps of an exception on the way holds the frames, and they the model.
        forget_frames(Session._baseline_alone.__code__)
        give_back_memory()  # only now has nothing a hold of the model

    def _baseline_alone(self, model: str) -> tuple[LoadResult, ...]:
        reference, tokenizer = load_reference(model, self._data_dir, self._report)
        prompts = self._prompt_maker(tokenizer)
        measured = Baseline(reference, self._plan.baseline_loads())
        measured.warm_up(prompts)
        for repeat in range(self._plan.repeats):
            self._say(f"Round {repeat + 1} of {self._plan.repeats}: generate()")
            measured.run(prompts)
        return measured.results()


def _today() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d")
