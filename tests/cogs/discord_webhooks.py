"""Webhooks of the application's own on the simulated Discord, which has only other people's.

Added: who made a webhook is its application; only such ones carry buttons; threads (`thread_id`,
with the message in that thread and nowhere else, a sleeping one woken); names that Discord refuses;
fifteen webhooks a channel; a message's application.
"""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from simcord.backend import errors, serializers
from simcord.http import router
from simcord.http._helpers import bot_message, message_edit_changes, message_response
from simcord.http.router import RequestContext

FEW = 15

Handler = Callable[[RequestContext], Any]


def _application_of(backend: Any, webhook_id: int | None) -> str | None:
    own = getattr(backend, "own_webhooks", set())
    return str(backend.application_id) if webhook_id in own else None


def _webhook_payload(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    @wraps(original)
    def payload(backend: Any, webhook: Any, **options: Any) -> dict[str, Any]:
        made = original(backend, webhook, **options)
        made["application_id"] = _application_of(backend, webhook.id)
        if made["application_id"] is None:
            made["user"] = {**made["user"], "id": "1"}  # somebody else
        return made

    return payload


def _message_payload(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    @wraps(original)
    def payload(backend: Any, message: Any, **options: Any) -> dict[str, Any]:
        made = original(backend, message, **options)
        application_id = _application_of(backend, message.webhook_id)
        if application_id is not None:
            made["application_id"] = application_id
            made["author"]["bot"] = True
        return made

    return payload


def _create(original: Handler) -> Handler:
    def create(ctx: RequestContext) -> Any:
        backend: Any = ctx.backend
        channel_id = ctx.int_arg("channel_id")
        there = [one for one in backend.webhooks.values() if one.channel_id == channel_id]
        if len(there) >= FEW:
            raise errors.BackendError(400, 30007, "Maximum number of webhooks reached (15)")
        _check_name(ctx.body()["name"])
        made = original(ctx)
        own = backend.__dict__.setdefault("own_webhooks", set())
        own.add(int(made["id"]))
        made["application_id"] = str(backend.application_id)
        return made

    return create


def _check_name(name: str) -> None:
    plain = name.strip().lower()
    if not 2 <= len(name) <= 80 or not plain or re.search("clyde|discord", plain):
        raise errors.invalid_form_body("username: this name is refused")
    if plain in ("everyone", "here"):
        raise errors.invalid_form_body("username: this name is refused")


def _own(ctx: RequestContext) -> Any:
    backend: Any = ctx.backend
    webhook_id = backend.webhook_tokens.get(ctx.args["token"])
    if webhook_id not in getattr(backend, "own_webhooks", set()):
        return None
    if webhook_id != ctx.int_arg("webhook_id"):
        raise errors.unknown_webhook()
    return backend.webhooks[webhook_id]


def _place(ctx: RequestContext, webhook: Any) -> int:
    """Where it writes: its channel, or a thread of it. A thread that sleeps is woken."""
    thread_id = ctx.params.get("thread_id")
    if thread_id is None:
        channel = ctx.backend.get_channel(webhook.channel_id)
        if channel.type in (15, 16):  # a forum takes posts alone
            raise errors.BackendError(400, 220001, "thread_id or thread_name is needed")
        return webhook.channel_id
    thread = ctx.backend.get_channel(int(thread_id))
    if thread.parent_id != webhook.channel_id:
        raise errors.unknown_channel()
    return thread.id


def _execute(original: Handler) -> Handler:
    def execute(ctx: RequestContext) -> Any:
        webhook = _own(ctx)
        if webhook is None:
            return original(ctx)
        place = _place(ctx, webhook)
        body = dict(ctx.body())
        if body.get("username") is not None:
            _check_name(body["username"])
        thread = ctx.backend.get_channel(place)
        if thread.thread_metadata is not None:
            thread.thread_metadata.archived = False
        message = bot_message(
            ctx,
            place,
            author_id=webhook.webhook_user_id,
            webhook_id=webhook.id,
            body=body,
            webhook_execute=True,
        )
        return message_response(ctx, message, exempt_root=True)

    return execute


def _message(ctx: RequestContext, webhook: Any, *, is_write: bool = True) -> Any:
    place = _place(ctx, webhook)
    message = ctx.backend.get_message(place, ctx.int_arg("message_id"))
    if message.webhook_id != webhook.id:
        raise errors.unknown_message()
    meta = ctx.backend.get_channel(place).thread_metadata
    if is_write and meta is not None and meta.archived:
        raise errors.BackendError(400, 50083, "Thread is archived")
    return message


def _edit(original: Handler) -> Handler:
    def edit(ctx: RequestContext) -> Any:
        webhook = _own(ctx)
        if webhook is None:
            return original(ctx)
        message = _message(ctx, webhook)
        changes = message_edit_changes(ctx, message, body=dict(ctx.body()))
        message = ctx.backend.edit_message(message.channel_id, message.id, changes)
        return message_response(ctx, message, exempt_root=True)

    return edit


def _delete(original: Handler) -> Handler:
    def delete(ctx: RequestContext) -> Any:
        webhook = _own(ctx)
        if webhook is None:
            return original(ctx)
        message = _message(ctx, webhook, is_write=False)
        ctx.backend.delete_message(message.channel_id, message.id)
        return None

    return delete


_HANDLERS: dict[tuple[str, str], Callable[[Handler], Handler]] = {
    ("POST", "channels/{channel_id}/webhooks"): _create,
    ("POST", "webhooks/{webhook_id}/{token}"): _execute,
    ("PATCH", "webhooks/{webhook_id}/{token}/messages/{message_id}"): _edit,
    ("DELETE", "webhooks/{webhook_id}/{token}/messages/{message_id}"): _delete,
}


def install() -> None:
    """Once for all tests."""
    if getattr(serializers, "has_own_webhooks", False):
        return
    serializers.has_own_webhooks = True  # type: ignore[attr-defined]
    serializers.webhook_payload = _webhook_payload(serializers.webhook_payload)  # type: ignore[assignment]
    serializers.message_payload = _message_payload(serializers.message_payload)  # type: ignore[assignment]
    for method, routes in router._ROUTES.items():
        for number, (template, handler) in enumerate(routes):
            wrap = _HANDLERS.get((method, "/".join(template)))
            if wrap is not None:
                routes[number] = (template, wrap(handler))
