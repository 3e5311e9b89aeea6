"""A heading takes room of the budget that what stands beneath it has."""

from bot.chat.prompt.parts import Part, Place, Priority, TokenBudget, over_budget


def parts(*budgets: TokenBudget) -> list[Part]:
    return [
        Part(
            "facts",
            f"fact {number}",
            Place.BEFORE_HISTORY,
            Priority.IMPORTANT,
            heading="Facts:",
            budget=budget,
        )
        for number, budget in enumerate(budgets)
    ]


def test_the_heading_is_counted_once_with_the_first_that_stands() -> None:
    budget = TokenBudget("facts", 30)
    asked = parts(budget, budget, budget)
    assert list(over_budget(asked, [10, 10, 10])) == []
    assert list(over_budget(asked, [10, 10, 10], headings={"Facts:": 10})) == [0]
    assert list(over_budget(asked, [10, 10, 25], headings={"Facts:": 10})) == [2]
    assert list(over_budget(asked, [10, 10, 10], headings={"Facts:": 21})) == [2, 1, 0]


def test_each_budget_pays_for_its_own_heading() -> None:
    one, other = TokenBudget("facts", 20), TokenBudget("recall", 15)
    assert list(over_budget(parts(one, other), [10, 10], headings={"Facts:": 10})) == [1]
