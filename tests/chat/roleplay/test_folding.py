"""What is folded next: the summary covers all that fell out, within its budget, bit by bit."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bot.chat.roleplay.memory.folding import (
    Budget,
    FoldTurns,
    Merge,
    Refold,
    Remove,
    Step,
    budget_for,
    choose_merge,
    next_step,
)
from bot.chat.roleplay.memory.sections import (
    FoldingState,
    Section,
    as_of,
    folded_up_to,
    standing,
)

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
BUDGET = Budget(summary=90, section=30)


def section(number: int, first: int, last: int, level: int = 0, **more: object) -> Section:
    made = Section(number, f"Section {number}.", level, first, last, NOON)
    return replace(made, **more)  # type: ignore[arg-type]


@dataclass
class Chat:
    """A conversation's turns, its sections, and how long each section's text is."""

    turns: list[int] = field(default_factory=list[int])
    sections: list[Section] = field(default_factory=list[Section])
    tokens: dict[int, int] = field(default_factory=dict[int, int])
    piece: int = 5  # turns that are folded at once
    made: int = 0
    folded: int = 0  # steps that ask the model

    def state(self) -> FoldingState:
        covered = folded_up_to(self.sections)
        unfolded = any(turn > covered for turn in self.turns)
        return FoldingState(1, tuple(self.sections), (max(self.turns, default=0)) + 1, unfolded)

    def step(self, size: int) -> Step | None:
        """The next step, done with a model that writes `size` tokens."""
        step = next_step(self.state(), self.tokens, BUDGET)
        match step:
            case Remove(gone):
                assert all(each.is_stale and each.level for each in gone)
                self.sections = [each for each in self.sections if each not in gone]
            case Refold(stale):
                self.sections.remove(stale)
                self.make(0, stale.first_turn, stale.last_turn, min(size, BUDGET.section))
            case FoldTurns(after, before):
                piece = [turn for turn in self.turns if after < turn < before][: self.piece]
                self.make(0, piece[0], piece[-1], min(size, BUDGET.section))
            case Merge(merged, most):
                assert not any(each.by_hand or each.is_stale for each in merged)
                level = max(each.level for each in merged) + 1
                first, last = merged[0].first_turn, merged[-1].last_turn
                self.make(level, first, last, min(size, most))
            case None:
                pass
        return step

    def make(self, level: int, first: int, last: int, tokens: int) -> None:
        self.made += 1
        self.folded += 1
        self.sections.append(section(self.made, first, last, level))
        self.tokens[self.made] = tokens

    def fold_all(self, size: int) -> int:
        steps = 0
        while self.step(size) is not None:
            steps += 1
            assert steps < 20 + 10 * len(self.turns)
        return steps

    def change(self, turn: int) -> None:
        """A turn is edited: whatever came from it is stale."""
        self.sections = [
            replace(each, is_stale=True, text="")
            if each.first_turn <= turn <= each.last_turn
            else each
            for each in self.sections
        ]

    def told(self) -> set[int]:
        """The turns that the standing sections tell of."""
        return {
            turn
            for each in standing(self.sections)
            for turn in self.turns
            if each.first_turn <= turn <= each.last_turn
        }


@given(st.integers(0, 300), st.integers(0, 60))
def test_all_that_fell_out_is_told_within_the_budget(turns: int, size: int) -> None:
    chat = Chat(list(range(1, turns + 1)))
    chat.fold_all(size)
    assert chat.told() == set(chat.turns)
    shown = standing(chat.sections)
    assert sum(chat.tokens[each.section_id] for each in shown) <= BUDGET.summary
    assert all(a.last_turn < b.first_turn for a, b in pairwise(shown))


@given(
    st.integers(1, 200),
    st.lists(st.one_of(st.integers(1, 200), st.none()), max_size=12),
    st.integers(1, 60),
)
def test_a_change_is_told_no_more_until_it_is_folded_again(
    turns: int, changes: list[int | None], size: int
) -> None:
    chat = Chat(list(range(1, turns + 1)))
    chat.fold_all(size)
    for changed in changes:
        if changed is None:
            chat.step(size)
        elif changed <= turns:
            chat.change(changed)
            assert changed not in chat.told()
    chat.fold_all(size)
    assert chat.told() == set(chat.turns)
    assert not any(each.is_stale for each in chat.sections)


def test_a_change_far_up_takes_a_few_steps_however_long_the_conversation_is() -> None:
    chat = Chat(list(range(1, 10_001)), piece=40)
    chat.fold_all(30)
    everything, chat.folded = chat.folded, 0
    chat.change(17)
    assert len(chat.told()) > 4_900, "what the change does not touch is still told"
    chat.fold_all(30)
    assert chat.folded < everything / 20


def test_of_what_overlaps_the_widest_stands() -> None:
    narrow = [section(1, 1, 5), section(2, 6, 10), section(3, 11, 15)]
    wide = section(4, 1, 10, 1)
    assert standing([*narrow, wide]) == [wide, narrow[2]]
    assert standing([*narrow, replace(wide, is_stale=True)]) == narrow


def test_what_came_later_was_not_there_when_a_reply_began() -> None:
    early, late = section(1, 1, 5), section(2, 6, 10, made_at=NOON + timedelta(minutes=1))
    known = [early, late]
    assert as_of(known, before_turn=20, moment=NOON) == [early]
    assert as_of(known, before_turn=20, moment=None) == known
    assert as_of(known, before_turn=8, moment=None) == [early]


def test_what_was_written_by_hand_is_never_folded() -> None:
    shown = [section(1, 0, 5, by_hand=True), section(2, 6, 10), section(3, 11, 15)]
    merge = choose_merge(shown, {1: 60, 2: 30, 3: 30}, BUDGET)
    assert merge == Merge((shown[1], shown[2]), 30)
    assert choose_merge(shown[:2], {1: 80, 2: 30}, BUDGET) is None


def test_the_newest_and_least_folded_are_folded_together_first() -> None:
    shown = [section(1, 1, 50, 2), section(2, 51, 60, 1), section(3, 61, 65), section(4, 66, 70)]
    merge = choose_merge(shown, dict.fromkeys((1, 2, 3, 4), 30), BUDGET)
    assert merge is not None
    assert merge.sections == (shown[2], shown[3])


def test_nothing_is_folded_where_no_reply_has_shown_what_falls_out() -> None:
    assert next_step(FoldingState(1, (), None, True), {}, BUDGET) is None


@given(st.integers(0, 2_000_000))
def test_a_summary_has_a_tenth_of_the_context_at_most(context: int) -> None:
    budget = budget_for(context)
    assert budget.summary <= context / 10
    assert 0 <= budget.section <= budget.summary
