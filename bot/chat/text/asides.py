"""What people say past the bot: out of character, never part of a prompt."""


def is_out_of_character(text: str) -> bool:
    """Whether people talk past the bot: ``((all of it in double parentheses))``, or ``// so``.

    Several asides in a row count, as long as nothing else stands between them.
    """
    text = text.strip()
    if text.startswith("//"):
        return True
    if len(text) < 4 or not (text.startswith("((") and text.endswith("))")):
        return False
    asides = text.split("((")[1:-1]
    return not any(aside.rpartition("))")[2].strip() for aside in asides if "))" in aside)
