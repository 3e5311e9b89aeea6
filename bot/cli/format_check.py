"""What `doctor` and `model inspect` say of the format in which a model is written to."""

from typing import Protocol

from bot.chat.prompt.choosing import find_format
from bot.cli.findings import Finding, Grade, from_error
from bot.engine.api import ModelInfo
from bot.engine.models.inspection import Inspection
from bot.errors import SettingsError


class FormatSettings(Protocol):
    """What decides on the format, of the process's settings."""

    @property
    def prompt_format(self) -> str:
        """`auto`, or a format's name."""
        ...

    @property
    def thinking_tokens(self) -> int:
        """How long a model may think before its reply; 0: not at all."""
        ...


def check_files_format(settings: FormatSettings, seen: Inspection) -> list[Finding]:
    """The same of a model that was looked over; nothing of one that is not on this machine."""
    if not seen.path:
        return []
    info = ModelInfo(
        seen.name,
        seen.context_tokens,
        chat_template=seen.chat_template,
        bos_token=seen.bos_token,
        eos_token=seen.eos_token,
        added_tokens=1,  # where no BOS is named, the template's own is none of the prompt's
    )
    return check_format(settings, info)


def check_format(settings: FormatSettings, info: ModelInfo) -> list[Finding]:
    """Which it is and how that is known. Blocks while the model's template is rendered."""
    try:
        chosen = find_format(settings.prompt_format, info, thinks=settings.thinking_tokens > 0)
    except SettingsError as error:
        return [from_error("format", error)]
    remark = f" ({chosen.remark})" if chosen.remark else ""
    thinks = ""
    if chosen.format.thought is not None:
        budget = f"at most {settings.thinking_tokens:,} tokens long"
        thinks = f" The model thinks first, {budget if settings.thinking_tokens else 'not at all'}."
    text = f"Written to as {chosen}{remark}.{thinks}"
    if not chosen.warning:
        return [Finding(Grade.OK, "format", text)]
    return [Finding(Grade.WARN, "format", chosen.warning)]
