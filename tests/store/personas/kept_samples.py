"""Made-up personas and lorebooks for the store's tests."""

import json
from collections.abc import Sequence

from bot.chat.personas.guild.kept import KeptFile, Limits, LorebookDraft, PersonaDraft
from bot.chat.personas.homes import persona_key

GUILD, OTHER = "1", "2"
LIMITS = Limits()


def draft(
    name: str = "Ada",
    *,
    version: str = "v-1",
    digest: str = "",
    files: Sequence[KeptFile] | None = (),
    document: bytes = b'{"name":"Ada","zzz":1,"aaa":2}',
) -> PersonaDraft:
    return PersonaDraft(
        name=name,
        name_key=persona_key(name),
        summary="a mathematician",
        version=version,
        origin="JSON",
        spec="v1",
        document=document,
        picture_digest=digest,
        files=files,
    )


def book(name: str = "Harbour", size: int = 0) -> LorebookDraft:
    document = json.dumps({"entries": {}, "filler": "x" * size}).encode()
    return LorebookDraft(name, persona_key(name), 3, document)
