"""`/moderation purge`: shows what would go, asks, and takes it out for good."""

import asyncio
import contextlib
import time
from typing import Any

import discord

from bot.chat.moderation.moments import moment_of
from bot.chat.moderation.purges import PurgePlan, PurgeWish
from bot.chat.moderation.purging import counted
from bot.errors import CaduceusError, NotFound, UserError
from cogs.client import Interaction, bot_of, channel_of
from cogs.commands.library.asking import AskerView
from cogs.commands.moderating.sweeping import Sweeper, Swept, may_delete_all
from cogs.platform import NOBODY, WRITE_ERRORS, Channel, key_of

PEOPLE_SHOWN = 8
PROGRESS_SECONDS = 3.0  # between two lines about how far it has come

EVERYWHERE = (
    "• All of it goes from what I keep, with its other versions, its copies in forks, what others "
    "quote of it and what was summed up, found again or pinned of it."
)
NOT_MORE = (
    "• What I never kept of this channel stays, and so does what is said from now on. For one "
    "person's data everywhere there is `/privacy forget`."
)

_AnyButton = discord.ui.Button[Any]


class PurgeError(UserError):
    """What somebody typed says nothing of what is to go."""


async def show_purge(
    interaction: Interaction,
    sweeper: Sweeper,
    member: discord.User | discord.Member | None,
    since: str | None,
    count: int | None,
) -> None:
    """Show what would go, with a question. Raises UserError."""
    if member is None and since is None and count is None:
        raise PurgeError(
            "Say what is to go:",
            "a `member`, a time from which on (`since`), or how many of the newest exchanges "
            "(`count`).",
        )
    channel = channel_of(interaction)
    moment = None if since is None else moment_of(since, discord.utils.utcnow())
    wish = PurgeWish(
        key_of(channel),
        speaker_id="" if member is None else str(member.id),
        since=moment,
        exchanges=count,
    )
    await interaction.response.defer(ephemeral=True, thinking=True)
    plan = await bot_of(interaction).moderation.purger.plan(wish)
    view = PurgeView(interaction, sweeper, wish, plan)
    await interaction.followup.send(
        preview(channel, plan), view=view, ephemeral=True, allowed_mentions=NOBODY
    )


def preview(channel: Channel, plan: PurgePlan) -> str:
    """What would go, and what cannot be taken out, in words."""
    lines = ["**Purge this?** It cannot be undone.", f"• {_what(plan)}"]
    if plan.oldest is not None:
        moment = discord.utils.format_dt(plan.oldest, "f")
        ago = discord.utils.format_dt(plan.oldest, "R")
        lines.append(f"• The oldest of it was said {moment} ({ago}).")
    if bot_lacks := _out_of_reach(channel, plan):
        lines.append(f"• {bot_lacks}")
    lines += [EVERYWHERE, NOT_MORE]
    return "\n".join(lines)


def _what(plan: PurgePlan) -> str:
    named = sorted(plan.people.items(), key=lambda item: (-item[1], item[0]))
    said = [f"<@{who}> {count}" for who, count in named[:PEOPLE_SHOWN] if who.isdecimal()]
    others = sum(plan.people.values()) - sum(
        count for who, count in named[:PEOPLE_SHOWN] if who.isdecimal()
    )
    if others:
        said.append(f"others {others}")
    if plan.own_messages:
        said.append(f"mine and my personas' {plan.own_messages}")
    whose = f": {', '.join(said)}" if said else ""
    return f"{counted(plan.messages, 'message')} in {counted(plan.exchanges, 'exchange')}{whose}."


def _out_of_reach(channel: Channel, plan: PurgePlan) -> str:
    theirs = sum(plan.people.values())
    if not theirs or may_delete_all(channel):
        return ""
    if getattr(channel, "guild", None) is None:
        return "In a direct message I can delete my own messages alone: yours stay until you do."
    return (
        f"I lack the permission Manage Messages here: {counted(theirs, 'message')} of people "
        "will stay in Discord, and only mine go there."
    )


class PurgeView(AskerView):
    """Asks whether it is to go."""

    def __init__(
        self, asked: Interaction, sweeper: Sweeper, wish: PurgeWish, plan: PurgePlan
    ) -> None:
        """`plan` is what was shown of `wish`."""
        super().__init__(asked)
        self._sweeper = sweeper
        self._wish = wish
        self._plan = plan

    @discord.ui.button(label="Purge", style=discord.ButtonStyle.danger)
    async def purge(self, interaction: Interaction, _button: _AnyButton) -> None:
        """Let it go for good."""
        if self.is_finished():  # pressed twice
            await interaction.response.defer()
            return
        self.stop()
        await interaction.response.defer()
        try:
            await self._purge(interaction)
        except CaduceusError:
            with contextlib.suppress(*WRITE_ERRORS):
                await interaction.edit_original_response(content="Not purged.", view=None)
            raise

    @discord.ui.button(label="Cancel")
    async def cancel(self, interaction: Interaction, _button: _AnyButton) -> None:
        """Let it stay."""
        self.stop()
        await interaction.response.defer()
        await interaction.edit_original_response(content="Nothing was purged.", view=None)

    async def _purge(self, interaction: Interaction) -> None:
        purger = bot_of(interaction).moderation.purger
        purge = await purger.purge(self._plan, by=str(interaction.user.id))
        if purge is None:
            await self._ask_again(interaction)
            return
        line = _Line(interaction)
        swept = await self._sweeper.sweep(purge, line.tell)
        if not swept.later:
            await purger.ended(purge, swept.left, was_interrupted=False)
        for copies in purge.copies:
            swept.add(await self._sweeper.sweep(copies))
        await line.end(_result(self._plan, swept))

    async def _ask_again(self, interaction: Interaction) -> None:
        try:
            plan = await bot_of(interaction).moderation.purger.plan(self._wish)
        except NotFound:
            said = "Nothing of that is there any more: it was taken out meanwhile."
            await interaction.edit_original_response(content=said, view=None)
            return
        view = PurgeView(self.asked, self._sweeper, self._wish, plan)
        said = f"Something has changed since I asked.\n{preview(channel_of(interaction), plan)}"
        await interaction.edit_original_response(content=said, view=view, allowed_mentions=NOBODY)


def _result(plan: PurgePlan, swept: Swept) -> str:
    gone = counted(swept.deleted, "message")
    exchanges = counted(plan.exchanges, "exchange")
    lines = [f"Purged: {exchanges}, out of all that I keep, and {gone} in Discord."]
    if swept.left:
        takes = "that takes the permission Manage Messages, or whoever wrote them"
        if plan.wish.channel.is_direct:
            takes = "that takes you, who wrote them"
        lines.append(f"{counted(swept.left, 'message')} I could not delete in Discord: {takes}.")
    if swept.later:
        lines.append(
            f"{counted(swept.later, 'message')} could not be deleted now: I try again at my next "
            "start."
        )
    return "\n".join(lines)


class _Line:
    """The line that says how far a purge has come."""

    def __init__(self, interaction: Interaction) -> None:
        self._interaction = interaction
        self._told_at = time.monotonic()
        self._edits: set[asyncio.Task[None]] = set()

    def tell(self, done: int, of: int) -> None:
        """So many are gone. Not told oftener than people read."""
        now = time.monotonic()
        if done >= of or self._edits or now - self._told_at < PROGRESS_SECONDS:
            return
        self._told_at = now
        text = f"Out of what I keep. In Discord: {done} of {of} messages…"
        edit = asyncio.create_task(self._edit(text))
        self._edits.add(edit)
        edit.add_done_callback(self._edits.discard)

    async def end(self, text: str) -> None:
        """It is done."""
        if self._edits:
            await asyncio.wait(self._edits)
        await self._edit(text)

    async def _edit(self, text: str) -> None:
        with contextlib.suppress(*WRITE_ERRORS):  # after a quarter of an hour it cannot be edited
            await self._interaction.edit_original_response(content=text, view=None)
