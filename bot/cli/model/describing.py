"""`model inspect`: what a model holds, in lines for people."""

from bot.engine.models.inspection import Inspection


def describe(found: Inspection) -> list[str]:
    """An inspection, in lines for people."""
    rows = [
        ("model", f"{found.name} ({found.kind})"),
        ("path", found.path),
        ("kind", found.architecture),
        ("weights", found.weights),
        ("size", _size(found)),
        ("context", f"{found.context_tokens} tokens" if found.context_tokens else ""),
        ("licence", found.license),
        ("memory", ", ".join(_memory(*row) for row in found.memory)),
        ("template", "has a chat template" if found.has_chat_template else ""),
    ]
    lines = [f"{label:<10}{value}" for label, value in rows if value]
    lines += [f"{'note':<10}{note}" for note in found.notes]
    lines += [f"{'problem':<10}{problem}" for problem in found.problems]
    if found.loads and found.parameters:
        lines.append("It looks as if it loads.")
    return lines


def _size(found: Inspection) -> str:
    if not found.parameters:
        return ""
    millions = found.parameters / 1e6
    count = f"{millions / 1e3:.1f} billion" if millions >= 1e3 else f"{millions:.0f} million"
    return f"{count} weights, {found.bytes / 1e9:.2f} GB"


def _memory(length: int, taken: int) -> str:
    return f"{taken / 1e9:.1f} GB with a context of {length:,}"
