"""Who speaks, where several personas are: pure functions of what was said and of the cast."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from bot.chat.roleplay.scenes.scene import Mode
from bot.chat.text.words import in_order_named

TALKATIVENESS = 0.5  # of a persona that says nothing of its own, as in SillyTavern


@dataclass(frozen=True, slots=True)
class Member:
    """A persona of a cast, and what it is called: its whole name and its nickname.

    `talkativeness`, from 0 to 1: how readily it speaks in a scene where nobody is named.
    """

    persona_id: str
    names: tuple[str, ...]
    talkativeness: float = TALKATIVENESS


@dataclass(frozen=True, slots=True)
class Said:
    """A message that waits. `replies_to` is the persona whose message it replies to, if any."""

    turn_id: int
    text: str
    replies_to: str = ""


@dataclass(frozen=True, slots=True)
class Queued:
    """A persona that is still to speak: to these messages, or, without any, to another persona."""

    persona_id: str
    answers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Spoken:
    """A persona's reply, and the messages that it took up. One not `is_whole` sets nobody off."""

    persona_id: str
    answers: tuple[Said, ...]
    text: str
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Rules:
    """How a scene gives the floor. `last_speaker` is the persona that spoke last, "" for none."""

    mode: Mode
    last_speaker: str = ""
    seed: int = 0  # chance depends on it alone


@dataclass(frozen=True, slots=True)
class Next:
    """Whose turn it is, the waiting messages that it takes up, and who speaks after it."""

    persona_id: str
    takes_up: tuple[int, ...]
    answers: tuple[int, ...]  # with those that another persona has taken up already
    queue: tuple[Queued, ...] = field(default=())


def addressees(said: Said, cast: Sequence[Member], rules: Rules | None = None) -> tuple[str, ...]:
    """Who answers a message: whom it replies to, then who is named, in that order.

    Where that is nobody of the cast, the first of it, which is the channel's main persona; in a
    scene nobody in particular, which is always so where all speak in turn.
    """
    if rules is not None and rules.mode is Mode.ROUND:
        return ()
    replied_to = [member.persona_id for member in cast if member.persona_id == said.replies_to]
    found = tuple(dict.fromkeys([*replied_to, *_named(said.text, cast)]))
    if found or rules is not None:
        return found
    return tuple(member.persona_id for member in cast[:1])


def next_speaker(
    waiting: Sequence[Said],
    queue: Sequence[Queued],
    cast: Sequence[Member],
    rules: Rules | None = None,
) -> Next | None:
    """Who speaks next: the first of the queue, else whom the oldest waiting message is for.

    It takes up all waiting messages that are for it; who else these are for, speaks after it. So
    everybody answers a message once at most. In a scene, which has `rules`, messages for nobody in
    particular go to whoever speaks next, and to nobody else. None where nothing is to be said.
    """
    known = {member.persona_id for member in cast}
    queue = [each for each in queue if each.persona_id in known]
    wanted = [(said, addressees(said, cast, rules)) for said in waiting]
    if queue:
        first, queue = queue[0], queue[1:]
    else:
        persona_id = next((who[0] for _, who in wanted if who), "")
        if not persona_id and rules is not None and wanted:
            persona_id = _chosen(cast, rules)
        if not persona_id:
            return None
        first = Queued(persona_id)
    is_scene = rules is not None
    taken = [
        (said, who) for said, who in wanted if first.persona_id in who or (is_scene and not who)
    ]
    for said, who in taken:
        queue = _queue_up(queue, said, [each for each in who if each != first.persona_id])
    takes_up = tuple(said.turn_id for said, _ in taken)
    return Next(first.persona_id, takes_up, (*first.answers, *takes_up), tuple(queue))


def followers(
    text: str,
    speaker: str,
    queue: Sequence[Queued],
    cast: Sequence[Member],
    left: int,
    rules: Rules | None = None,
) -> tuple[Queued, ...]:
    """The queue with whom a persona's reply names, `left` more at most; nobody follows itself.

    Where all speak in turn, a name changes nothing.
    """
    if rules is not None and rules.mode is Mode.ROUND:
        return tuple(queue)
    queued = {each.persona_id for each in queue}
    named = (each for each in _named(text, cast) if each != speaker and each not in queued)
    return (*queue, *[Queued(persona_id) for persona_id in named][: max(left, 0)])


def still_to_speak(
    spoken: Sequence[Spoken], cast: Sequence[Member], chain: int, rules: Rules | None = None
) -> tuple[tuple[Queued, ...], int]:
    """Who is queued after the replies of a round, and how often personas answered each other."""
    queue: list[Queued] = []
    chained = 0
    for each in spoken:
        own = [queued for queued in queue if queued.persona_id == each.persona_id]
        queue = [queued for queued in queue if queued.persona_id != each.persona_id]
        chained = 0 if each.answers else chained + (not any(queued.answers for queued in own))
        for said in each.answers:
            wanted = addressees(said, cast, rules)
            queue = _queue_up(queue, said, [who for who in wanted if who != each.persona_id])
        if each.is_whole:
            left = chain - chained - sum(not queued.answers for queued in queue)
            queue = [*followers(each.text, each.persona_id, queue, cast, left, rules)]
    return tuple(queue), chained


def is_named(said: Said, cast: Sequence[Member]) -> bool:
    """Whether a message names or replies to anybody of the cast."""
    return bool(addressees(said, cast, Rules(Mode.NAMED)))


def _chosen(cast: Sequence[Member], rules: Rules) -> str:
    """Who of a scene speaks where nobody is named; "" where nobody does."""
    ids = [member.persona_id for member in cast]
    if not ids or rules.mode is Mode.NAMED:
        return ""
    if rules.mode is Mode.ROUND:
        after = ids.index(rules.last_speaker) + 1 if rules.last_speaker in ids else 0
        return ids[after % len(ids)]
    others = [member for member in cast if member.persona_id != rules.last_speaker] or list(cast)
    weights = [min(max(0.0, member.talkativeness), 1.0) for member in others]
    if not any(weights):
        weights = [1.0] * len(others)
    chance = Random(rules.seed)  # noqa: S311 - nothing secret depends on it
    return chance.choices(others, weights)[0].persona_id


def _named(text: str, cast: Sequence[Member]) -> Iterable[str]:
    names = [(name, member.persona_id) for member in cast for name in member.names]
    found = in_order_named(text, [name for name, _ in names])
    return dict.fromkeys(names[index][1] for index in found)


def _queue_up(queue: Sequence[Queued], said: Said, who: Sequence[str]) -> list[Queued]:
    queue = list(queue)
    for persona_id in who:
        places = [at for at, each in enumerate(queue) if each.persona_id == persona_id]
        if places:
            before = queue[places[0]]
            queue[places[0]] = replace(before, answers=(*before.answers, said.turn_id))
        else:
            queue.append(Queued(persona_id, (said.turn_id,)))
    return queue
