"""``python -m bot run``: the Discord bot."""

import argparse
import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp
import discord

from bot import __version__
from bot.app import App
from bot.cli.serving import serve
from bot.errors import CaduceusError, SettingsError
from bot.settings import ProcessSettings
from bot.settings_checks import REAL_ONE
from cogs.build_bot import build_bot

logger = logging.getLogger(__name__)

PORTAL = "https://discord.com/developers/applications"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def run(_args: argparse.Namespace, settings: ProcessSettings) -> int:
    """Connect when the model is ready, and serve until a signal."""
    token = settings.discord_token
    if token is None:
        raise SettingsError("DISCORD_TOKEN is not set.", REAL_ONE)
    secret = token.get_secret_value()
    # Nobody misses voice here, so nobody needs to hear that its libraries are missing.
    discord.VoiceClient.warn_nacl = False
    discord.VoiceClient.warn_dave = False

    @asynccontextmanager
    async def front_end(app: App) -> AsyncGenerator[asyncio.Task[None] | None, None]:
        bot = build_bot(
            app.conversations,
            app.desk,
            app.notebook,
            summaries=app.summaries,
            moderation=app.moderation,
            privacy=app.privacy,
            erasure=app.erasure,
            owner_ids=settings.owner_ids,
            version=__version__,
            data_dir=settings.data_dir,
        )
        running = asyncio.create_task(connect(bot, secret), name="discord")
        try:
            yield running
        finally:
            await bot.close()
            await asyncio.gather(running, return_exceptions=True)

    return serve(settings, front_end, engine_first=True)


async def connect(bot: discord.Client, token: str) -> None:
    """Stay connected until the client is closed. Discord's refusals become plain words."""
    try:
        await bot.start(token)
    except discord.LoginFailure as error:
        raise SettingsError("Discord refused DISCORD_TOKEN.", REAL_ONE) from error
    except discord.PrivilegedIntentsRequired as error:
        raise SettingsError(
            "Discord refused the Message Content intent.",
            f"Switch it on at {PORTAL} (your application, Bot, Message Content Intent), and start "
            "again.",
        ) from error
    except (discord.HTTPException, discord.GatewayNotFound, discord.ConnectionClosed) as error:
        raise CaduceusError(
            f"Discord ended the connection ({error}).", "Try again in some minutes."
        ) from error
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise CaduceusError(
            f"Discord cannot be reached ({error}).", "Check this machine's network, then try again."
        ) from error
