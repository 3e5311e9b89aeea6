"""What `doctor` asks Discord: is the token good, the intent on, and may the bot speak?

Two requests about the application and one about its guilds; the gateway is not touched, so a
running bot is not disturbed. https://discord.com/developers/docs/resources/application
"""

from collections.abc import Mapping
from typing import Any, cast

import aiohttp

from bot.cli.findings import Finding, Grade
from bot.settings_checks import REAL_ONE

API = "https://discord.com/api/v10"
PORTAL = "https://discord.com/developers/applications"
TIMEOUT_SECONDS = 10
ADMINISTRATOR = 1 << 3
MESSAGE_CONTENT_FLAGS = 1 << 18 | 1 << 19  # granted; granted to an unverified application
GUILDS_SHOWN = 5

# The fewest that the bot needs, and what for. Files and embeds come only as answers to commands,
# which ask for no permission.
PERMISSIONS: Mapping[str, tuple[int, str]] = {
    "View Channels": (1 << 10, "to see the channels in which it talks"),
    "Send Messages": (1 << 11, "to answer"),
    "Read Message History": (
        1 << 16,
        "to reply to a message, and to answer what it missed while it was away",
    ),
    "Manage Messages": (1 << 13, "to delete people's messages when a moderator purges them"),
    "Manage Webhooks": (1 << 29, "to have personas speak under their own name and picture"),
    "Create Public Threads": (1 << 35, "to open a thread for a scene or a fork"),
    "Send Messages in Threads": (1 << 38, "to answer in threads"),
}
PERMISSION_INTEGER = sum(bit for bit, _ in PERMISSIONS.values())
SCOPES = ("bot", "applications.commands")


def invite_link(application_id: str) -> str:
    """The address that adds the bot to a guild with the fewest permissions."""
    return (
        f"https://discord.com/oauth2/authorize?client_id={application_id}"
        f"&permissions={PERMISSION_INTEGER}&scope={'+'.join(SCOPES)}"
    )


async def check_discord(token: str, api: str = API) -> list[Finding]:
    """Token, intent and permissions. Never raises for what the network does."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    headers = {"Authorization": f"Bot {token}", "User-Agent": "DiscordBot (caduceus doctor)"}
    try:
        async with aiohttp.ClientSession(timeout=timeout, headers=headers) as session:
            return await _ask_all(session, api)
    except _AnsweredError as error:
        return [error.finding]
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        said = str(error) or type(error).__name__
        return [
            Finding(
                Grade.WARN,
                "token",
                f"Discord cannot be reached from here ({said}): it has the shape of a token, more "
                "is not known.",
                "Run doctor again where the network is there.",
            )
        ]


async def _ask_all(session: aiohttp.ClientSession, api: str) -> list[Finding]:
    me = cast("dict[str, Any]", await _get(session, f"{api}/users/@me"))
    application = cast("dict[str, Any]", await _get(session, f"{api}/applications/@me"))
    guilds = cast("list[dict[str, Any]]", await _get(session, f"{api}/users/@me/guilds"))
    link = invite_link(str(application.get("id", me.get("id"))))
    findings = [Finding(Grade.OK, "token", f"Discord knows it: the bot is {me.get('username')}.")]
    findings.append(_intent(int(application.get("flags", 0))))
    findings += _permissions(guilds, link)
    return findings


def _intent(flags: int) -> Finding:
    if flags & MESSAGE_CONTENT_FLAGS:
        return Finding(Grade.OK, "intents", "The Message Content intent is on.")
    return Finding(
        Grade.FAIL,
        "intents",
        "The Message Content intent is off: Discord will refuse the connection.",
        f"Switch it on at {PORTAL} (your application, Bot, Message Content Intent).",
    )


def _permissions(guilds: list[dict[str, Any]], link: str) -> list[Finding]:
    """What the bot's roles allow in each guild; a channel may still forbid it."""
    if not guilds:
        return [
            Finding(Grade.WARN, "permissions", "The bot is in no server yet.", f"Invite it: {link}")
        ]
    findings: list[Finding] = []
    for guild in guilds:
        allowed = int(guild.get("permissions", 0))
        lacking = [name for name, (bit, _) in PERMISSIONS.items() if not allowed & bit]
        if lacking and not allowed & ADMINISTRATOR:
            findings.append(
                Finding(
                    Grade.WARN,
                    "permissions",
                    f"In «{guild.get('name')}» it lacks: {', '.join(lacking)}.",
                    f"Give its role these, or invite it again: {link}",
                )
            )
    if len(findings) > GUILDS_SHOWN:
        more = len(findings) - GUILDS_SHOWN
        shown = Finding(Grade.WARN, "permissions", f"... and in {more} more servers.")
        findings = [*findings[:GUILDS_SHOWN], shown]
    if findings:
        return findings
    count = f"{len(guilds)} server{'s' if len(guilds) != 1 else ''}"
    return [Finding(Grade.OK, "permissions", f"All that it needs, in {count}.")]


class _AnsweredError(Exception):
    """Discord answered with something else than what was asked for."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.text)
        self.finding = finding


async def _get(session: aiohttp.ClientSession, url: str) -> object:
    async with session.get(url) as response:
        if response.status == 401:
            raise _AnsweredError(
                Finding(Grade.FAIL, "token", "Discord refuses DISCORD_TOKEN.", REAL_ONE)
            )
        if response.status != 200:
            raise _AnsweredError(
                Finding(
                    Grade.WARN,
                    "token",
                    f"Discord answered {response.status} to a question about the bot.",
                    "Run doctor again in some minutes.",
                )
            )
        return await response.json()
