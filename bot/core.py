"""The conversation core on a database: what every front end talks to, put together once.

The program and the tests' simulated Discord have it from the same functions.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from random import Random

from bot.chat.engines import Engines
from bot.chat.limits.blocking import BlockedCheck
from bot.chat.limits.gate import Gate
from bot.chat.limits.making import make_gate
from bot.chat.limits.words.censor import Censor
from bot.chat.messages import JsonValue
from bot.chat.moderation.desk import Moderation, open_moderation
from bot.chat.personas.guild.desk import PersonaDesk, open_desk
from bot.chat.personas.library import PersonaLibrary
from bot.chat.privacy.desk import Privacy
from bot.chat.privacy.erasure import Erasure, make_erasure
from bot.chat.privacy.handling import Handling
from bot.chat.privacy.staying_out import OptOutCheck, StayingOut
from bot.chat.prompt.recollection import JoinedMemory
from bot.chat.roleplay.memory.folder import Folder
from bot.chat.roleplay.memory.idle import IdleFolding
from bot.chat.roleplay.memory.notebook import Notebook
from bot.chat.roleplay.memory.recall import Recall
from bot.chat.roleplay.memory.summary import SummaryDesk, SummaryTeller
from bot.chat.roleplay.shelf import GuildShelf
from bot.chat.settings import SettingsCascade
from bot.chat.talk.channel_states import ChannelStates
from bot.chat.talk.conversations import Clock, Conversations, utc_now
from bot.chat.talk.emptying import Emptying
from bot.chat.talk.taking_out import TakingOut
from bot.store.database import Database


@dataclass(frozen=True, slots=True)
class Core:
    """What a front end does things with. Nothing goes on by itself before somebody begins it."""

    conversations: Conversations
    desk: PersonaDesk
    notebook: Notebook
    summaries: SummaryDesk
    moderation: Moderation
    privacy: Privacy
    erasure: Erasure
    folding: IdleFolding


def make_core(
    database: Database,
    library: PersonaLibrary,
    engines: Engines,
    handling: Handling,
    *,
    owner: Mapping[str, JsonValue] | None = None,
    owner_accounts: Collection[str] = (),
    max_reply_tokens: int,
    thinking_tokens: int,
    clock: Clock = utc_now,
    random: Random | None = None,
) -> Core:
    """Put it together.

    `handling` is what becomes of people's data, `owner` the bot's owner's own defaults, and
    `owner_accounts` who that is, each as `platform:id`.
    """
    desk = open_desk(library, database.personas, database.lorebooks, database.casts)
    notebook = Notebook(database.facts)
    recall = Recall(database.search, database.history)
    channels = ChannelStates()
    channels.on_taken_out.append(lambda channel: engines.forget(str(channel)))
    channels.on_edited.append(lambda channel: engines.forget(str(channel), only_copies=True))
    conversations = Conversations(
        database.history,
        SettingsCascade(database.settings, desk.personas, owner),
        desk.personas,
        engines,
        max_reply_tokens=max_reply_tokens,
        thinking_tokens=thinking_tokens,
        clock=clock,
        random=random,
        shelf=GuildShelf(desk.lorebooks),
        casts=database.casts,
        scenes=database.scenes,
        memory=JoinedMemory([notebook, SummaryTeller(database.summaries), recall]),
        channels=channels,
        gate=_gate_of(database, clock, owner_accounts),
        censor=Censor(database.words),
    )
    folding = _folding_of(database, conversations, clock, thinking_tokens)
    channels.on_left.append(folding.stir)
    return Core(
        conversations,
        desk,
        notebook,
        SummaryDesk(
            database.summaries, conversations.settings, engines, clock=clock, stir=folding.stir
        ),
        _moderation_of(database, conversations, TakingOut(database.history, channels, clock)),
        Privacy(
            StayingOut(database.opt_outs, channels, stir=folding.stir),
            database.belongings,
            handling,
        ),
        _erasure_of(database, conversations.settings, desk, channels, clock),
        folding,
    )


def _gate_of(database: Database, clock: Clock, owner_accounts: Collection[str]) -> Gate:
    """Who is heard and answered."""
    return make_gate(
        database.ledger,
        clock,
        owners=frozenset(owner_accounts),
        always=[OptOutCheck(database.opt_outs)],
        checks=[BlockedCheck(database.blocks)],
    )


def _moderation_of(
    database: Database, conversations: Conversations, taking_out: TakingOut
) -> Moderation:
    """What moderators do things with."""
    return open_moderation(
        conversations,
        taking_out,
        blocks=database.blocks,
        log_channels=database.log_channels,
        purges=database.purges,
        words=database.words,
    )


def _erasure_of(
    database: Database,
    settings: SettingsCascade,
    desk: PersonaDesk,
    channels: ChannelStates,
    clock: Clock,
) -> Erasure:
    """All that erases; `channels` are those where people talk meanwhile."""
    return make_erasure(
        people=database.people,
        aged=database.aged,
        places=database.places,
        removals=database.removals,
        jobs=database.jobs,
        settings=settings,
        taking_out=Emptying(database.history, channels, clock).taking_out,
        on_picture_gone=desk.workshop.picture_gone,
        on_taken_out=channels.tell_taken_out,
        clock=clock,
    )


def _folding_of(
    database: Database, conversations: Conversations, clock: Clock, thinking_tokens: int
) -> IdleFolding:
    """What folds summaries once it is begun."""
    folder = Folder(
        database.history,
        database.summaries,
        conversations.settings,
        conversations.engines,
        conversations.formats,
        clock=clock,
        thinking_tokens=thinking_tokens,
        scenes=database.scenes,
        screen=conversations.censor,
    )
    return IdleFolding(folder.fold, database.summaries.channels_to_fold)
