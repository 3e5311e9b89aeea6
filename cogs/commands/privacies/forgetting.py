"""`/privacy forget`: says what will go, asks, and erases it."""

import contextlib
import logging
from typing import Any

import discord

from bot.chat.privacy.people import Person, Preview
from bot.errors import CaduceusError
from cogs.client import Interaction, bot_of
from cogs.commands.library.asking import AskerView
from cogs.interactions import line_of, tell
from cogs.platform import NOBODY, PLATFORM, WRITE_ERRORS
from cogs.rights.holding import require_forgetter

ERASING = "Erasing … That may take some minutes. If I am restarted meanwhile, I go on by myself."
NOTHING = "Nothing was erased."
ENDED = "This question is over. Use `/privacy forget` again."
OWN = """\
**Erase everything that I keep of you?** In every server and in our direct messages. It cannot be \
undone.
• {messages} in {channels}, and {quotes} of you in what others said.
• {replies} of mine to you, also where others had asked at the same time. Any other reply that \
repeats your words or names you goes, too. I delete these messages in Discord.
• {facts} pinned by you or repeating you, the characters that you play, what you wrote for \
scenes. Summaries made from any of it are written anew from what is left.
• Your id wherever it says who did something: settings, personas, lorebooks.
**What stays:** your own messages in Discord, which I leave to you; what others wrote, even about \
you; the threads of scenes with my lines of what you set there; \
personas and lorebooks that you made for a server, without your name. If you have opted out \
or are blocked somewhere, that stays so: I could not keep to it without your id.
Afterwards I hear you as I hear anybody. `/privacy optout` keeps you out."""
MEMBERS = """\
**Erase everything that I keep of {member} in this server?** It cannot be undone. What there is \
elsewhere stays.
• {messages} in {channels}, and {quotes} of them in what others said.
• {replies} of mine to them, also where others had asked at the same time. Any other reply here \
that repeats their words or names them goes, too. I delete these messages in Discord.
• {facts} pinned by them or repeating them, the characters that they play, what they wrote for \
scenes. Summaries made from any of it are written anew from what is left.
• Their id wherever it says who did something here: settings, personas, lorebooks.
**What stays:** their own messages in Discord, which `/moderation purge` can take away; what \
others wrote, even about them; the threads of scenes with my lines of what they set there; \
personas and lorebooks that they made, without their name; that \
they are blocked, if they are.
Afterwards I hear them as I hear anybody."""
DONE = (
    "Done. Everything that I kept of {whom}{where} is erased, also out of the database's files. "
    "My messages go from Discord one after another; where there are many, that takes a while."
)
PUT_OFF = (
    "That could not be finished now: {error}\nIt is not forgotten: I try again every minute, also "
    "after a restart."
)

_log = logging.getLogger(__name__)
_Button = discord.ui.Button[Any]


async def forget(interaction: Interaction, member: discord.User | discord.Member | None) -> None:
    """Ask whether to erase somebody's data: one's own everywhere, or a member's in this server."""
    if member is not None and member.id != interaction.user.id:
        person = Person(PLATFORM, str(member.id), str(interaction.guild_id))
    else:
        member, person = None, Person(PLATFORM, str(interaction.user.id))
    await interaction.response.defer(ephemeral=True, thinking=True)
    preview = await bot_of(interaction).erasure.forgetting.preview(person)
    await interaction.followup.send(
        question(preview, member),
        view=ForgetView(interaction, person),
        ephemeral=True,
        allowed_mentions=NOBODY,
    )


def question(preview: Preview, member: discord.User | discord.Member | None) -> str:
    """What would go, and what stays, in words."""
    counts = {
        "messages": _counted(preview.messages, "message"),
        "channels": _counted(preview.channels, "channel"),
        "quotes": _counted(preview.quotes, "quote"),
        "replies": _counted(preview.replies, "reply", "replies"),
        "facts": _counted(preview.facts, "fact"),
    }
    if member is None:
        return OWN.format(**counts)
    return MEMBERS.format(**counts, member=member.mention)


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


class ForgetView(AskerView):
    """Erases on a press, once, and only for whoever asked."""

    def __init__(self, asked: Interaction, person: Person) -> None:
        """`person` is whose data was shown."""
        super().__init__(asked)
        self._person = person

    @discord.ui.button(label="Erase for good", style=discord.ButtonStyle.danger)
    async def erase(self, interaction: Interaction, _button: _Button) -> None:
        """Erase it, and say when it is done."""
        if self.is_finished():
            await tell(interaction, ENDED)
            return
        if self._person.guild_id:
            require_forgetter(interaction)  # that right may have gone meanwhile
        self.stop()
        await interaction.response.edit_message(content=ERASING, view=None)
        said = await _erase(interaction, self._person)
        # After a quarter of an hour Discord takes no answer any more; it is done all the same.
        with contextlib.suppress(*WRITE_ERRORS):
            await interaction.edit_original_response(content=said)

    @discord.ui.button(label="Keep it", style=discord.ButtonStyle.secondary)
    async def keep(self, interaction: Interaction, _button: _Button) -> None:
        """Do nothing."""
        self.stop()
        await interaction.response.edit_message(content=NOTHING, view=None)


async def _erase(interaction: Interaction, person: Person) -> str:
    bot = bot_of(interaction)
    own_channel = ""
    if not person.guild_id:
        own_channel = await _direct_channel(interaction)
    try:
        await bot.erasure.forgetting.forget(person, own_channel=own_channel)
    except CaduceusError as error:
        _log.warning("Somebody's data is erased later: %s", error)
        return PUT_OFF.format(error=line_of(error))
    whom = f"<@{person.speaker_id}>" if person.guild_id else "you"
    return DONE.format(whom=whom, where=" in this server" if person.guild_id else "")


async def _direct_channel(interaction: Interaction) -> str:
    """The channel of somebody's direct messages: what is set there tells nothing of whose it is."""
    if interaction.guild_id is None and interaction.channel_id is not None:
        return str(interaction.channel_id)
    try:
        return str((await interaction.user.create_dm()).id)
    except WRITE_ERRORS as error:
        _log.info("A direct channel cannot be looked up: %s", error)
        return ""
