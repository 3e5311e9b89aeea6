"""Numbers of entries: unique in a book, whatever the file says."""

from bot.chat.personas.lore import values


class Uids:
    """Gives each entry its own: duplicates would overwrite each other."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def unique(self, wish: object, slot: str) -> str:
        """`wish` where it is a number or a text, else `slot`; with "#2" where it is taken."""
        plain = (values.text(wish) or slot)[:200]
        uid, copy = plain, 1
        while uid in self._taken:
            copy += 1
            uid = f"{plain}#{copy if copy < _TRIED else len(self._taken) + copy}"
        self._taken.add(uid)
        return uid


_TRIED = 50
