"""What `doctor` says of the format in which a model is written to."""

from bot.chat.prompt.choosing import find_format
from bot.cli.findings import Finding, Grade, from_error
from bot.engine.api import ModelInfo
from bot.errors import SettingsError
from bot.settings import ProcessSettings


def check_format(settings: ProcessSettings, info: ModelInfo) -> list[Finding]:
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
    named = str(chosen)
    text = f"{named[:1].upper()}{named[1:]}{remark}.{thinks}"
    if not chosen.warning:
        return [Finding(Grade.OK, "format", text)]
    return [Finding(Grade.WARN, "format", chosen.warning)]
