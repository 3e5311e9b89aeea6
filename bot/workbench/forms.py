"""What the page may send, checked. Unknown keys are an error."""

import asyncio
import zlib
from typing import Annotated, TypeVar

import aiohttp
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.functional_validators import AfterValidator

from bot.workbench.answers import Refused

MESSAGE_CHARACTERS = 20_000
VALUE_CHARACTERS = 4_000
LARGE_BYTES = 256 * 1024
NAME_CHARACTERS = 80
CHAT_CHARACTERS = 200_000  # pasted into the lorebook tester: as far as lore looks
TEXT_CHARACTERS = 200_000  # of one text to count

# NUL cannot be stored everywhere, and none of these means anything in a conversation.
_CONTROL_CHARACTERS = {
    code: None for code in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if chr(code) not in "\t\n"
}


def _clean(text: str) -> str:
    return text.replace("\r\n", "\n").translate(_CONTROL_CHARACTERS).strip()


def _not_empty(text: str) -> str:
    if not text:
        raise ValueError("there is nothing in it")
    return text


def _one_step(step: int) -> int:
    if abs(step) != 1:
        raise ValueError("it is 1 or -1")
    return step


Text = Annotated[
    str, Field(max_length=MESSAGE_CHARACTERS), AfterValidator(_clean), AfterValidator(_not_empty)
]
Name = Annotated[
    str,
    Field(max_length=NAME_CHARACTERS),
    AfterValidator(_clean),
    AfterValidator(lambda name: " ".join(name.split())),
    AfterValidator(_not_empty),
]


class Form(BaseModel):
    """Base of all bodies."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NewMessage(Form):
    """Something that the person says."""

    text: Text
    name: Name


class WhoAsks(Form):
    """What the person wants to be called."""

    name: Name = "Guest"


class NewText(Form):
    """A turn's text, edited."""

    text: Text


class SwipeStep(Form):
    """One swipe back or forth."""

    step: Annotated[int, AfterValidator(_one_step)]


class SettingValue(Form):
    """A setting's value, as a person types it."""

    value: Annotated[str, Field(max_length=VALUE_CHARACTERS), AfterValidator(_clean)]


class Restore(Form):
    """Which conversation becomes the current one again."""

    conversation_id: Annotated[int, Field(ge=1, le=2**62)]


class PersonaEdit(Form):
    """Fields of a persona, whose values the core checks. `version` is "" for a new one."""

    fields: dict[str, object]
    version: Annotated[str, Field(max_length=64)] = ""


class PersonaDeletion(Form):
    """Which persona was shown to who deletes it."""

    version: Annotated[str, Field(max_length=64)]


class Take(Form):
    """What becomes of a dropped card: its name, and whether it goes in another one's place."""

    name: Annotated[str, Field(max_length=4 * NAME_CHARACTERS)] = ""
    replace: bool = False


class TextsToCount(Form):
    """Texts by any names; `name` is whose they are, for their macros."""

    texts: Annotated[
        dict[str, Annotated[str, Field(max_length=TEXT_CHARACTERS)]], Field(max_length=600)
    ]
    name: Annotated[str, Field(max_length=4 * NAME_CHARACTERS)] = ""


class LoreTest(Form):
    """A chat to try lorebooks on: a persona's own, and dropped ones by their ids."""

    chat: Annotated[str, Field(max_length=CHAT_CHARACTERS)]
    persona: Annotated[str, Field(max_length=1_000)] = ""
    books: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=10)] = []
    scan_depth: Annotated[int, Field(ge=0, le=1_000)] = 2


FormType = TypeVar("FormType", bound=Form)


async def read_form(
    request: web.Request, form: type[FormType], most_bytes: int | None = None
) -> FormType:
    """The body of a call. Raises Refused with a line that names what is wrong.

    `most_bytes` is for forms that may be larger than others; those are parsed beside the loop.
    """
    if request.content_type != "application/json":
        raise Refused(415, "The body must be JSON.", "Send Content-Type: application/json.")
    if most_bytes is not None:
        request = request.clone(client_max_size=most_bytes)
    try:
        body = await request.read()
    except (aiohttp.ClientError, web.RequestPayloadError, zlib.error) as error:
        raise Refused(400, "The body cannot be read.", "Send it again, whole.") from error
    try:
        if len(body) > LARGE_BYTES:
            return await asyncio.to_thread(form.model_validate_json, body)
        return form.model_validate_json(body)
    except ValidationError as error:
        raise _refused(error) from None


def read_query(request: web.Request, form: type[FormType]) -> FormType:
    """What stands behind the address's question mark. Raises Refused."""
    try:
        return form.model_validate(dict(request.query))
    except ValidationError as error:
        raise _refused(error) from None


def _refused(error: ValidationError) -> Refused:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    reason = first["msg"].removeprefix("Value error, ")
    message = f"{where}: {reason}." if where else f"{reason}."
    return Refused(400, message, "Put that right and try again.")
