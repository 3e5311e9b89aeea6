"""`model inspect`: what a model holds, in lines for people."""

from collections.abc import Sequence

from bot.cli.findings import Finding, Grade, plain
from bot.engine.models.inspection import Inspection


def describe(found: Inspection, findings: Sequence[Finding] = ()) -> list[str]:
    """An inspection, in lines for people; `findings` are what its use here would be like."""
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
        *((_LABELS.get(one.subject, one.subject), _said(one)) for one in findings),
    ]
    rows += [("note", note) for note in found.notes]
    rows += [("problem", problem) for problem in found.problems]
    lines = [f"{label:<10}{plain(value)}" for label, value in rows if value]
    if found.loads and found.parameters:
        lacks_room = any(one.subject == "memory" and one.grade is Grade.WARN for one in findings)
        lines.append(f"It looks as if it loads{', but see `here`' if lacks_room else ''}.")
    return lines


def _said(finding: Finding) -> str:
    return f"{finding.text} {finding.fix}".strip()


_LABELS = {"memory": "here"}  # `memory` is the file's own need, whatever the machine


def _size(found: Inspection) -> str:
    if not found.parameters:
        return ""
    millions = found.parameters / 1e6
    count = f"{millions / 1e3:.1f} billion" if millions >= 1e3 else f"{millions:.0f} million"
    return f"{count} weights, {found.bytes / 1e9:.2f} GB"


def _memory(length: int, taken: int) -> str:
    return f"{taken / 1e9:.1f} GB with a context of {length:,}"
