"""Who is named in allowed_roles and blocked_roles."""

import pytest

from bot.chat.definitions import ChannelSettings
from bot.chat.limits.gate import Access
from bot.chat.limits.roles import RoleLists, listed
from bot.chat.messages import ChannelKey, Speaker

HERE = ChannelKey("discord", "100", guild_id="1")
ANN = Speaker(
    "11",
    "Boss",  # a nickname, which anybody can take
    roles=frozenset({"1", "500"}),
    role_names=frozenset({"@everyone", "Story Tellers"}),
    username="ann.lee",
)


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
    settings = ChannelSettings(allowed_roles=allowed, blocked_roles=blocked)
    admission = await RoleLists().admit(HERE, ANN, settings, asks=True)
    assert (admission.access, admission.notice) == (access, "")
