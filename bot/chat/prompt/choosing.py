"""Which format a model is written to in, and how that is known."""

import asyncio
import logging
import re
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache, partial

from bot.chat.engines import NamedEngine, WrittenIn
from bot.chat.prompt.deriving import Derived, derive_format
from bot.chat.prompt.formats import ALPACA, FORMATS, PromptFormat, choose_format
from bot.chat.prompt.probes import UncuttableError
from bot.chat.prompt.template import Template
from bot.engine.api import ModelInfo
from bot.errors import SettingsError

TEMPLATE = "template"  # as PROMPT_FORMAT: the model's own, or none
FORMAT_NAMES = ("auto", TEMPLATE, *FORMATS)
# What a server may put before a prompt that does not tell what it is.
_USUAL_BOS = (
    "<s>", "<bos>", "<|begin_of_text|>", "<|startoftext|>", "<|endoftext|>", "<BOS_TOKEN>",
    "<\uff5cbegin\u2581of\u2581sentence\uff5c>",
)  # fmt: skip
# Trained in Alpaca's form alone, whatever a conversion has put beside the weights.
_ALPACA_NAMES = re.compile(r"nous-?hermes(?![-_ ]?[234]\b)", re.IGNORECASE)
_GO_TEMPLATE = re.compile(r"\{\{-?\s*(?:\.|\$|(?:if|range|with|else|end)\b)")  # of Ollama
_ANY_DAY = date(2024, 7, 26)

_log = logging.getLogger(__name__)


class FormatOrigin(StrEnum):
    """How a format is known to be the model's, in words."""

    SETTING = "by PROMPT_FORMAT"
    TEMPLATE = "from the model's own template"
    NAME = "by the model's name"
    HINTS = "by what is known of the model"
    NOTHING = "as nothing says which is the model's"


@dataclass(frozen=True, slots=True)
class ChosenFormat:
    """A format and how it was found.

    `problem` says why the model's own template is not used, where it has one; `remark` what of it
    is left aside.
    """

    format: PromptFormat
    origin: FormatOrigin
    problem: str = ""
    remark: str = ""

    def __str__(self) -> str:
        """«chatml, from the model's own template»."""
        if self.format.name == TEMPLATE:
            return str(self.origin)
        return f"{self.format.name}, {self.origin}"

    @property
    def warning(self) -> str:
        """The problem as a sentence or two for the bot's owner, "" without one."""
        if not self.problem:
            return ""
        return (
            f"The model's own chat template cannot be used: {self.problem}. It is written to in "
            f"{self.format.name} instead, and may answer badly: set PROMPT_FORMAT to the format "
            f"that its card names, one of {', '.join(FORMATS)}."
        )


def check_format_name(name: str) -> None:
    """Raise SettingsError for a PROMPT_FORMAT that does not exist."""
    if name not in FORMAT_NAMES:
        raise SettingsError(
            f"PROMPT_FORMAT is «{name[:40]}», which is not a format.",
            f"Use {', '.join(FORMAT_NAMES[:-1])} or {FORMAT_NAMES[-1]}.",
        )


def find_format(
    setting: str, info: ModelInfo, *, thinks: bool = True, day: date | None = None
) -> ChosenFormat:
    """The format for a model. Blocks while its template is rendered. Raises SettingsError.

    A name in `setting` is taken whatever the model; «template» insists on the model's own; «auto»
    takes Alpaca for the first Nous-Hermes, the model's own template, and where there is none or it
    cannot be used, what template, tokens or name hint at. `thinks` False: of a model that may think
    before it answers, the form in which it does not. `day` is what a template may tell as the date.
    """
    wanted = setting.strip().lower() or "auto"
    check_format_name(wanted)
    if wanted in FORMATS:
        return ChosenFormat(FORMATS[wanted], FormatOrigin.SETTING)
    if wanted == "auto" and _ALPACA_NAMES.search(info.name):
        return ChosenFormat(ALPACA, FormatOrigin.NAME)
    source = info.chat_template
    if source and not _GO_TEMPLATE.search(source):
        found = _derive(_template(info, source, day), _first_tokens(info), _tokens(info), thinks)
        if isinstance(found, Derived):
            return ChosenFormat(found.format, FormatOrigin.TEMPLATE, remark=found.remark)
        if wanted == TEMPLATE:
            raise SettingsError(
                f"PROMPT_FORMAT is template, and the model's own cannot be used: {found}.",
                f"Set PROMPT_FORMAT to one of {', '.join(FORMATS)}.",
            )
        return _hinted(info, problem=found)
    if wanted == TEMPLATE:
        raise SettingsError(
            "PROMPT_FORMAT is template, and the model has no chat template of its own.",
            f"Set PROMPT_FORMAT to auto, or to one of {', '.join(FORMATS)}.",
        )
    return _hinted(info)


class FormatChooser:
    """Finds each engine's format once a model, off the event loop, and tells the engine.

    The date that some templates tell is the day's: such a format is made anew after midnight.
    """

    def __init__(self, *, thinks: bool = True) -> None:
        """`thinks`: whether a model that can think before it answers is to."""
        self._thinks = thinks
        self._chosen: dict[NamedEngine, tuple[ModelInfo, date, ChosenFormat]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def choose(
        self, engine: NamedEngine, info: ModelInfo, day: date | None = None
    ) -> ChosenFormat:
        """The format for an engine and its model, now or on another day. Raises SettingsError."""
        today = _today(info)
        day = today if day is None or today == _ANY_DAY else day
        async with self._one_at_a_time:
            known = self._chosen.get(engine)
            if known is not None and known[:2] == (info, day):
                return known[2]
            find = partial(find_format, engine.prompt_format, info, thinks=self._thinks, day=day)
            chosen = await asyncio.to_thread(find) if info.chat_template else find()
            if day != today:
                return chosen
            self._chosen[engine] = info, day, chosen
            if not info.takes_prompts:  # it writes the roles of a chat as it sees fit
                engine.written_in = WrittenIn("the server's own")
                return chosen
            engine.written_in = WrittenIn(str(chosen), chosen.warning)
            if known is None or known[0] != info:
                _tell(engine.name, info.name, chosen)
            return chosen


def _tell(engine: str, model: str, chosen: ChosenFormat) -> None:
    remark = f" ({chosen.remark})" if chosen.remark else ""
    _log.info("%s: %s is written to in this format: %s%s", engine, model, chosen, remark)
    if chosen.warning:
        _log.warning("%s: %s", engine, chosen.warning)


def _hinted(info: ModelInfo, problem: str = "") -> ChosenFormat:
    """By what template, tokens and name hint at."""
    found = choose_format("auto", info)
    by_name = choose_format("auto", ModelInfo(info.name, info.context_tokens))
    nameless = choose_format("auto", replace(info, name=""))
    if nameless is not ALPACA or found is not by_name:
        origin = FormatOrigin.HINTS
    elif choose_format("auto", ModelInfo(info.name, 0, eos_token="<|im_end|>")) is found:  # noqa: S106
        origin = FormatOrigin.NAME
    else:
        origin = FormatOrigin.NOTHING
    return ChosenFormat(found, origin, problem)


def _template(info: ModelInfo, source: str, day: date | None) -> Template:
    return Template(source, info.bos_token, info.eos_token, day or _today(info))


def _today(info: ModelInfo) -> date:
    """The day, as far as the model's template asks for it."""
    tells_day = info.chat_template is not None and "strftime_now" in info.chat_template
    return datetime.now().astimezone().date() if tells_day else _ANY_DAY


def _first_tokens(info: ModelInfo) -> tuple[str, ...]:
    if info.bos_token:
        return (info.bos_token,)
    return _USUAL_BOS if info.added_tokens else ()


def _tokens(info: ModelInfo) -> tuple[str, ...]:
    tokens = (*info.special_tokens, info.eos_token, info.bos_token)
    return tuple(dict.fromkeys(filter(None, tokens)))


@lru_cache(maxsize=16)
def _derive(
    template: Template,
    first_tokens: tuple[str, ...],
    special_tokens: tuple[str, ...],
    thinks: bool,
) -> Derived | str:
    """The format; or why there is none, in words."""
    try:
        return derive_format(
            template, special_tokens=special_tokens, first_tokens=first_tokens, thinks=thinks
        )
    except UncuttableError as error:
        return str(error)
