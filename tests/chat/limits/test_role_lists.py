"""Who is named in allowed_roles and blocked_roles."""

from collections.abc import Mapping
from datetime import UTC, date, datetime

import pytest

from bot.chat.definitions import ChannelSettings
from bot.chat.limits.gate import Access
from bot.chat.limits.making import make_gate
from bot.chat.limits.roles import listed
from bot.chat.messages import ChannelKey, Speaker

HERE = ChannelKey("discord", "100", guild_id="1")
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
ANN = Speaker(
    "11",
    "Boss",  # a nickname, which anybody can take
    roles=frozenset({"1", "500"}),
    role_names=frozenset({"@everyone", "Story Tellers"}),
    username="ann.lee",
)


class NoLedger:
    async def spent(self, home: str, speaker_id: str, day: date) -> int:
        raise AssertionError("nobody has a quota")

    async def spend(self, home: str, tokens: Mapping[str, int], day: date) -> None:
        raise AssertionError("nobody has a quota")


@pytest.mark.parametrize(
    "entry",
    ["<@&500>", "<@11>", "<@!11>", "500", "11", "story tellers", "@Story Tellers", " ann.lee ",
     "@ANN.LEE", "@everyone", "everyone", "<@&1>"],
)  # fmt: skip
def test_somebody_is_meant(entry: str) -> None:
    assert listed((entry,)).has(ANN)
    assert listed(("other", entry)).has(ANN)


@pytest.mark.parametrize(
    "entry", ["<@&11>", "<@500>", "Boss", "Story", "ann", "", "@", "<@&>", "50", "<@&500"]
)
def test_nobody_is_meant(entry: str) -> None:
    assert not listed((entry,)).has(ANN)


def test_a_proxy_or_a_member_without_roles_is_in_no_role() -> None:
    assert not listed(("500", "everyone")).has(Speaker("proxy:5:Ann", "Ann"))


@pytest.mark.parametrize(
    ("allowed", "blocked", "access"),
    [
        ((), (), Access.ANSWERED),
        (("500",), (), Access.ANSWERED),
        (("501",), (), Access.UNANSWERED),
        ((), ("500",), Access.UNHEARD),
        (("500",), ("ann.lee",), Access.UNHEARD),
        ((), ("501",), Access.ANSWERED),
    ],
)
async def test_blocked_goes_before_allowed(
    allowed: tuple[str, ...], blocked: tuple[str, ...], access: Access
) -> None:
    given = {"allowed_roles": allowed, "blocked_roles": blocked}
    settings = ChannelSettings.model_validate(given)
    gate = make_gate(NoLedger(), lambda: NOON)
    admission = await gate.admit(HERE, ANN, settings, asks=True, at=NOON)
    assert (admission.access, admission.notice) == (access, "")
