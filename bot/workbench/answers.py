"""What goes back over the wire: JSON, and errors as one plain line with what to do."""

import logging

from aiohttp import web
from aiohttp.typedefs import Handler

from bot.errors import (
    CaduceusError,
    EngineError,
    EngineUnavailable,
    NotAllowed,
    NotFound,
    UserError,
)

log = logging.getLogger(__name__)


class Refused(UserError):  # noqa: N818 - reads as the sentence it is
    """A call that cannot be served as it stands; `status` is its HTTP status."""

    def __init__(self, status: int, message: str, fix: str = "") -> None:
        """`status` is 4xx."""
        super().__init__(message, fix)
        self.status = status


def refusal(status: int, message: str, fix: str = "") -> web.Response:
    """An error as the page shows it."""
    return web.json_response({"error": message, "fix": fix}, status=status)


def status_of(error: CaduceusError) -> int:
    """The HTTP status that fits an error of ours."""
    match error:
        case Refused():
            return error.status
        case NotFound():
            return 404
        case NotAllowed():
            return 403
        case UserError():
            return 400
        case EngineUnavailable():
            return 503
        case EngineError():
            return 502
        case _:
            return 500


@web.middleware
async def translate_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what handlers raise into JSON. A fault that is nobody's on purpose stays aiohttp's."""
    try:
        return await handler(request)
    except CaduceusError as error:
        status = status_of(error)
        if status >= 500:
            log.error("%s %s: %s", request.method, request.path, error)
        return refusal(status, error.message, error.fix)
    except web.HTTPRequestEntityTooLarge:
        return refusal(413, "That is too much at once.", "Send a shorter text.")
    except web.HTTPNotFound:
        return refusal(404, "There is nothing here.", "Go back to the first page.")
    except web.HTTPMethodNotAllowed as error:
        return refusal(405, f"{error.method} does not work here.", "Reload the page.")
