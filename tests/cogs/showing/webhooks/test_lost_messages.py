"""Messages that nobody can write to any more are written anew, in order, and taken away."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from walls import Outcome, Wall

from cogs.showing.pacing import EditPacer
from cogs.showing.request_budget import RequestBudget, Urgency
from cogs.showing.screen import Post, Screen
from cogs.showing.voice import Controls, MessageLostError

DONE = Controls(1, is_running=False)
pieces = st.builds(Post, st.sampled_from("abcd"), st.sampled_from([None, DONE]))


class Deletable(Wall):
    """A wall by a webhook that is deleted now and then, and made anew."""

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        super().__init__(outcomes)
        self.webhook = 1
        self.made_by: dict[int, int] = {}

    async def send(self, content: str, controls: Controls | None, tag: str) -> int:
        number = await super().send(content, controls, tag)
        self.made_by.setdefault(number, self.webhook)
        return number

    async def edit(self, message_id: int, content: str, controls: Controls | None) -> None:
        if self.made_by[message_id] != self.webhook:
            raise MessageLostError
        await super().edit(message_id, content, controls)


@given(
    st.lists(st.tuples(st.lists(pieces, max_size=3), st.booleans()), min_size=1, max_size=6),
    st.lists(st.sampled_from([Outcome.HEARD, Outcome.LOST]), max_size=12),
)
async def test_in_the_end_people_see_what_is_wanted_in_order_and_nothing_else(
    wanted: list[tuple[list[Post], bool]], outcomes: list[Outcome]
) -> None:
    wall = Deletable(outcomes)
    screen = Screen(wall, wall, EditPacer(0.0), RequestBudget(limit=1_000_000))
    for posts, is_deleted in wanted:
        wall.webhook += is_deleted
        writes = 0
        while True:
            try:
                if not await screen.step(lambda posts=posts: posts, Urgency.REPLY, None):
                    break
            except ConnectionResetError:
                continue
            writes += 1
            assert writes <= 2 * 3 + 2, "each is given up once, and written once"
        await screen.trim(len(posts))
        await screen.sweep()
        ids = [int(number) for number in screen.message_ids(len(posts))]
        assert [wall.seen[number] for number in ids] == posts
        assert ids == sorted(ids)
        assert set(wall.seen) == set(ids)
