"""Makes the methods of a port from functions of a connection: one transaction a call.

What a function does, and with which parameters, stands with the function alone::

    class SqlHistory(OnTransactions):
        window = reads(conversations.window)
        edit_turn = writes(incoming.edit_turn, erases=True)
"""

from collections.abc import Callable
from functools import wraps
from types import CoroutineType
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

from sqlalchemy import Connection

from bot.store.connecting.transactions import Transactions

P = ParamSpec("P")
T = TypeVar("T")


class OnTransactions:
    """What the bound methods need: the database's transactions."""

    def __init__(self, transactions: Transactions) -> None:
        """The database's."""
        self.transactions = transactions


Work = Callable[Concatenate[Connection, P], T]
# Quoted: Python 3.11 takes no parameters for CoroutineType, which is what `async def` returns.
Method: TypeAlias = "Callable[Concatenate[OnTransactions, P], CoroutineType[Any, Any, T]]"


def reads(work: Work[P, T]) -> "Method[P, T]":
    """A method that does `work` in one consistent view."""

    @wraps(work)
    async def method(self: OnTransactions, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.transactions.read(lambda connection: work(connection, *args, **kwargs))

    return method


def writes(work: Work[P, T], *, erases: bool = False) -> "Method[P, T]":
    """A method that does `work` whole or not at all, and durably.

    `erases`: what it deletes or replaces must not linger in the files.
    """

    @wraps(work)
    async def method(self: OnTransactions, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.transactions.write(
            lambda connection: work(connection, *args, **kwargs), erases=erases
        )

    return method
