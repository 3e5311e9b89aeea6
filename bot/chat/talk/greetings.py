"""What a persona says first: its greeting, whose alternates are swipes."""

from collections.abc import Sequence
from random import Random

from bot.chat.messages import ChannelKey, Speaker, Turn
from bot.chat.persona import Persona
from bot.chat.personas.macro_values import local
from bot.chat.personas.macros import MacroContext, Macros
from bot.chat.ports import History
from bot.chat.talk.casting import Casting
from bot.chat.talk.channel_states import ChannelStates
from bot.chat.talk.shown_again import ShownAgain
from bot.chat.talk.turn_taking import Clock
from bot.chat.text.names import clean_name

LOOKED_THROUGH = 200  # newest turns, among which a persona's own are looked for
MOST_GREETINGS = 50  # as many as swipes can be gone through
SEED_BITS = 31


class Greetings:
    """Has personas begin conversations. A front end shows the turn that it is given."""

    def __init__(
        self,
        history: History,
        casting: Casting,
        channels: ChannelStates,
        clock: Clock,
        random: Random,
        shown_again: ShownAgain,
    ) -> None:
        """`channels` is shared with whoever hears the messages."""
        self._history = history
        self._casting = casting
        self._channels = channels
        self._clock = clock
        self._random = random
        self._shown_again = shown_again

    async def begin(self, channel: ChannelKey, by: Speaker) -> Turn | None:
        """The channel's main persona greets whoever begins a conversation or chose it.

        None where it has no greeting, has spoken in this conversation already, or is being waited
        for: then it answers instead. The turn stands in the history, and nobody has seen it yet.
        """
        with self._channels.use(channel) as state:
            async with state.intake:
                scene = await self._casting.scene(channel)
                persona, *others = await self._casting.here(channel, scene=scene)
                window = await self._history.window(channel, LOOKED_THROUGH)
                spoke = {turn.persona_id for turn in window.turns if turn.role == "bot"}
                if persona.id in spoke or state.heard or state.running is not None:
                    return None
                written = self._said(persona, [other.name for other in others], by.name)
                shown = await self._shown_again.texts(channel, written) if written else []
                texts = [text for text in shown if text]
                if not texts:
                    return None
                return await self._history.add_greeting(
                    channel,
                    Speaker(f"persona:{persona.id}", persona.name, is_bot=True),
                    texts,
                    persona=persona.name,
                    persona_id=persona.id,
                    asked_by=by.speaker_id,
                )

    async def taken_back(self, channel: ChannelKey) -> Turn | None:
        """The greeting that the current conversation consists of; None where more was said.

        For the Undo of what began it: the front end deletes its messages, and the turn.
        """
        window = await self._history.window(channel, 2)
        is_alone = len(window.turns) == 1 and not window.skipped
        return window.turns[0] if is_alone and window.turns[0].is_greeting else None

    def _said(self, persona: Persona, others: Sequence[str], user: str) -> list[str]:
        macros = Macros(
            MacroContext(
                clean_name(persona.nickname or persona.name),
                clean_name(user),
                persona=persona,
                others=tuple(clean_name(other) for other in others),
                conversation=str(self._random.getrandbits(SEED_BITS)),
                seed=self._random.getrandbits(SEED_BITS),
                moment=local(self._clock()),
            )
        )
        said = (macros.expand(text.strip()).strip() for text in greetings_of(persona, others))
        return list(dict.fromkeys(text for text in said if text))


def greetings_of(persona: Persona, others: Sequence[str] = ()) -> Sequence[str]:
    """A persona's greetings, the first one first; with others beside it those for groups lead."""
    groups = persona.group_greetings if others else ()
    found = (*groups, persona.greeting, *persona.alternate_greetings)
    return [text for text in found if text.strip()][:MOST_GREETINGS]
