"""Any sequence of calls: the history says what a simple model of it says."""

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from empty_database import put_empty_database
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from store_samples import ANN, BEN, BOT, CHANNEL, record, said

from bot.chat.messages import TurnState
from bot.store.checks import check
from bot.store.database import Database


@dataclass
class ModelSwipe:
    """One alternative."""

    text: str = ""
    state: TurnState = TurnState.RUNNING


@dataclass
class ModelTurn:
    """What a turn should be."""

    turn_id: int
    conversation: int
    message_ids: list[str]
    text: str = ""
    asker: str = ""
    addressed: bool = False
    pending: bool = False
    answered_by: int | None = None
    hidden: bool = False
    swipes: list[ModelSwipe] = field(default_factory=list)
    active: int = 0
    before: int | None = None

    @property
    def is_reply(self) -> bool:
        return bool(self.swipes)

    @property
    def running(self) -> ModelSwipe | None:
        return next((swipe for swipe in self.swipes if swipe.state is TurnState.RUNNING), None)

    @property
    def seen(self) -> tuple[str, TurnState]:
        if not self.swipes:
            return self.text, TurnState.WHOLE
        return self.swipes[self.active].text, self.swipes[self.active].state


TEXTS = st.text(max_size=20).map(lambda text: text.replace("\0", ""))


class HistoryMachine(RuleBasedStateMachine):
    """Drives a SQLite history and the model side by side."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="caduceus-model-")
        self.url = f"sqlite+aiosqlite:///{self.folder.name}/model.db"
        self.runner = asyncio.Runner()
        put_empty_database(Path(self.folder.name) / "model.db")
        self.database = self.run(Database.open(self.url))
        self.turns: dict[int, ModelTurn] = {}
        self.positions: dict[int, int] = {}  # of each turn: they never change
        self.conversation = 0
        self.conversations: list[int] = []
        self.hidden: list[list[int]] = []
        self.messages = 0

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.run(self.database.close())
            assert self.run(check(self.url)) == []
            self.runner.close()
            self.folder.cleanup()

    def run(self, call):
        return self.runner.run(call)

    @property
    def history(self):
        return self.database.history

    def visible(self) -> list[ModelTurn]:
        return [
            turn
            for turn in self.turns.values()
            if turn.conversation == self.conversation and not turn.hidden
        ]

    def replies(self) -> list[ModelTurn]:
        return [turn for turn in self.turns.values() if turn.is_reply]

    def note_conversation(self, number: int) -> None:
        self.conversation = number
        if number not in self.conversations:
            self.conversations.append(number)

    def gone(self, turn_id: int) -> None:
        del self.turns[turn_id]
        for turn in self.turns.values():
            if turn.answered_by == turn_id:
                turn.answered_by = None

    @rule(text=TEXTS, addressed=st.booleans(), author=st.sampled_from([ANN, BEN]))
    def add(self, text: str, addressed: bool, author) -> None:
        self.messages += 1
        message = said(text, message_id=f"m{self.messages}", author=author)
        turn = self.run(self.history.add_message(message, addressed=addressed))
        assert self.run(self.history.add_message(message, addressed=addressed)) is None
        self.note_conversation(turn.conversation_id)
        self.turns[turn.turn_id] = ModelTurn(
            turn.turn_id,
            turn.conversation_id,
            [message.message_id],
            text,
            author.speaker_id,
            addressed,
            addressed,
        )

    @precondition(lambda self: self.turns)
    @rule(data=st.data(), text=TEXTS)
    def edit(self, data: st.DataObject, text: str) -> None:
        turn = data.draw(st.sampled_from(list(self.turns.values())))
        if turn.is_reply:
            self.run(self.history.edit_turn(turn.turn_id, text))
            turn.swipes[turn.active].text = text
        else:
            assert self.run(self.history.edit_message(CHANNEL, turn.message_ids[0], text))
            turn.text = text

    @precondition(lambda self: self.turns)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        turn = data.draw(st.sampled_from(list(self.turns.values())))
        if turn.message_ids and data.draw(st.booleans()):
            chosen = data.draw(st.sampled_from(turn.message_ids))
            assert self.run(self.history.delete_messages(CHANNEL, [chosen, "unknown"])) == 1
        else:
            self.run(self.history.delete_turn(turn.turn_id))
        self.gone(turn.turn_id)

    @rule()
    def begin_reply(self) -> None:
        waiting = [turn for turn in self.visible() if turn.pending]
        reply = self.run(
            self.history.begin_reply(
                CHANNEL, BOT, persona="", answers=[turn.turn_id for turn in waiting]
            )
        )
        self.note_conversation(reply.conversation_id)
        assert reply.asked_by == {turn.asker for turn in waiting}
        for turn in waiting:
            turn.pending, turn.answered_by = False, reply.turn_id
        self.turns[reply.turn_id] = ModelTurn(
            reply.turn_id, reply.conversation_id, [], swipes=[ModelSwipe()]
        )

    @precondition(lambda self: any(not turn.running for turn in self.replies()))
    @rule(data=st.data())
    def begin_swipe(self, data: st.DataObject) -> None:
        turn = data.draw(st.sampled_from([turn for turn in self.replies() if not turn.running]))
        self.run(self.history.begin_swipe(turn.turn_id))
        turn.before, turn.active = turn.active, len(turn.swipes)
        turn.swipes.append(ModelSwipe())

    @precondition(lambda self: self.replies())
    @rule(data=st.data(), text=TEXTS, count=st.integers(0, 3))
    def show(self, data: st.DataObject, text: str, count: int) -> None:
        turn = data.draw(st.sampled_from(self.replies()))
        turn.message_ids = [f"r{turn.turn_id}-{number}" for number in range(count)]
        self.run(self.history.show_reply(turn.turn_id, text, turn.message_ids))
        (turn.running or turn.swipes[turn.active]).text = text

    @precondition(lambda self: self.replies())
    @rule(data=st.data(), state=st.sampled_from([TurnState.WHOLE, TurnState.CUT]))
    def finish(self, data: st.DataObject, state: TurnState) -> None:
        turn = data.draw(st.sampled_from(self.replies()))
        self.run(self.history.finish_reply(turn.turn_id, state, record()))
        (turn.running or turn.swipes[turn.active]).state = state
        turn.before = None

    def take_out(self, turn: ModelTurn, requeue: bool) -> None:
        if len(turn.swipes) > 1:
            turn.swipes.pop()
            turn.active, turn.before = turn.before or 0, None
            return
        for other in self.turns.values():
            if other.answered_by == turn.turn_id and other.addressed and requeue:
                other.pending, other.answered_by = True, None
        self.gone(turn.turn_id)

    @precondition(lambda self: self.replies())
    @rule(data=st.data(), requeue=st.booleans())
    def abandon(self, data: st.DataObject, requeue: bool) -> None:
        turn = data.draw(st.sampled_from(self.replies()))
        self.run(self.history.abandon_reply(turn.turn_id, requeue=requeue))
        if turn.running:
            self.take_out(turn, requeue)

    @precondition(lambda self: self.replies())
    @rule(data=st.data())
    def select(self, data: st.DataObject) -> None:
        turn = data.draw(st.sampled_from(self.replies()))
        turn.active = data.draw(st.integers(0, len(turn.swipes) - 1))
        self.run(self.history.select_swipe(turn.turn_id, turn.active))

    @rule()
    def hide(self) -> None:
        hidden = self.run(self.history.hide_last_exchange(CHANNEL))
        replies = [turn for turn in self.visible() if turn.is_reply]
        expected: list[int] = []
        if replies:
            newest = replies[-1].turn_id
            for turn in self.visible():
                if turn.turn_id >= newest or turn.answered_by == newest:
                    expected.append(turn.turn_id)
            for turn_id in expected:
                self.turns[turn_id].hidden = True
            self.hidden.append(expected)
        assert hidden == expected

    @precondition(lambda self: self.hidden)
    @rule()
    def unhide(self) -> None:
        turn_ids = self.hidden.pop()
        self.run(self.history.unhide(turn_ids))
        for turn_id in turn_ids:
            if turn_id in self.turns:
                self.turns[turn_id].hidden = False

    @rule()
    def reset(self) -> None:
        old, new = self.run(self.history.reset(CHANNEL))
        if self.conversation:
            assert old == self.conversation
        self.note_conversation(old)
        self.note_conversation(new)

    @precondition(lambda self: self.conversations)
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        self.conversation = data.draw(st.sampled_from(self.conversations))
        self.run(self.history.restore(CHANNEL, self.conversation))

    @rule()
    def restart(self) -> None:
        self.run(self.database.close())
        running = [turn for turn in self.turns.values() if turn.running]
        self.database = self.run(Database.open(self.url))
        for turn in running:
            if turn.running and turn.running.text:
                turn.running.state = TurnState.CUT
                turn.before = None
            else:
                self.take_out(turn, True)

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "database"):
            return
        window = self.run(self.history.window(CHANNEL, 4))
        visible = self.visible()
        assert window.conversation_id == self.conversation
        assert bool(window.skipped) == (len(visible) > 4)
        assert window.skipped >= max(0, len(visible) - 4)
        whole = self.run(self.history.window(CHANNEL, 1000))
        assert [turn.turn_id for turn in whole.turns] == [turn.turn_id for turn in visible]
        assert list(whole.positions) == sorted(set(whole.positions))
        assert window.positions == whole.positions[-4:]
        for turn, position in zip(visible, whole.positions, strict=True):
            assert self.positions.setdefault(turn.turn_id, position) == position
        assert [
            (turn.turn_id, (turn.text, turn.state), list(turn.message_ids), turn.answered_by)
            for turn in window.turns
        ] == [
            (turn.turn_id, turn.seen, turn.message_ids, turn.answered_by) for turn in visible[-4:]
        ]
        assert [turn.turn_id for turn in self.run(self.history.pending(CHANNEL))] == [
            turn.turn_id for turn in visible if turn.pending
        ]


HistoryMachine.TestCase.settings = settings(max_examples=12, stateful_step_count=30, deadline=None)
TestHistoryModel = HistoryMachine.TestCase
