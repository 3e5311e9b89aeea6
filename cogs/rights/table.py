"""Who may use which command and control: the one place that says so.

What stands in no row can be used by nobody. `docs/rights.md` is written from it.
"""

from collections.abc import Mapping

from cogs.rights.kinds import Answer, Right, Row

_PERSONAS = "Changing this server's personas"
_BOOKS = "Changing this server's lorebooks"


def _row(*rights: Right, does: str = "That") -> Row:
    return Row(rights, does=does)


def _private(*rights: Right, writes: bool = False) -> Row:
    return Row(rights, Answer.PRIVATE, writes)


def _open(*rights: Right, writes: bool = False) -> Row:
    return Row(rights, Answer.OPEN, writes)


def _control(shown: str, *rights: Right, does: str = "That") -> Row:
    return Row(rights, shown=shown, does=does)


def _kept(shown: str, *rights: Right, writes: bool = False) -> Row:
    """A control that carries what it is about, which is looked up when it is pressed."""
    return Row(rights, Answer.UPDATE, writes, shown=shown)


# By the names under which Discord shows them; where its option `action` tells, with that.
COMMANDS: Mapping[str, Row] = {
    "chat continue": _private(Right.ASKER, writes=True),
    "chat export": _row(Right.READER),
    "chat regenerate": _private(Right.ASKER, writes=True),
    "chat reset": _open(Right.TALKER),
    "chat undo": _open(Right.TALKER),
    "lore attach": _row(Right.SCOPE, does="Attaching lorebooks"),
    "lore delete": _row(Right.SERVER, does=_BOOKS),
    "lore detach": _row(Right.SCOPE, does="Attaching lorebooks"),
    "lore export": _row(Right.EVERYONE),
    "lore import": _row(Right.SERVER, does=_BOOKS),
    "lore list": _row(Right.EVERYONE),
    "lore show": _row(Right.EVERYONE),
    "lore test": _row(Right.EVERYONE),
    "memory add": _private(Right.TALKER),
    "memory edit": _private(Right.FACT, Right.TALKER),
    "memory remove": _private(Right.FACT),
    "memory show": _row(Right.READER),
    "memory summary": _row(Right.READER),
    "persona add": _open(Right.CHOOSER),
    "persona create": _row(Right.SERVER, does=_PERSONAS),
    "persona delete": _row(Right.SERVER, does=_PERSONAS),
    "persona edit": _row(Right.SERVER, does=_PERSONAS),
    "persona export": _row(Right.EVERYONE),
    "persona import": _row(Right.SERVER, does=_PERSONAS),
    "persona list": _row(Right.EVERYONE),
    "persona remove": _open(Right.CHOOSER),
    "persona show": _row(Right.EVERYONE),
    "persona use": _open(Right.CHOOSER),
    "roleplay cast add": _open(Right.SCENE),
    "roleplay cast list": _row(Right.EVERYONE),
    "roleplay cast remove": _open(Right.SCENE),
    "roleplay end": _open(Right.SCENE),
    "roleplay me": _open(Right.TALKER),
    "roleplay note": _private(Right.SCENE),
    "roleplay pause": _open(Right.SCENE),
    "roleplay recap": _open(Right.READER, writes=True),
    "roleplay resume": _open(Right.SCENE),
    "roleplay say": _private(Right.SCENE, writes=True),
    "roleplay start": _open(Right.TALKER),
    "roleplay turns": _open(Right.SCENE),
    "settings history": _row(Right.EVERYONE),
    "settings panel": _row(Right.EVERYONE),
    "settings reset": _row(Right.SCOPE, does="Changing settings"),
    "settings set": _row(Right.SCOPE, does="Changing settings"),
    "settings show": _row(Right.EVERYONE),
    "settings undo": _private(Right.CHANGE),
    "moderation block": _row(Right.MODERATOR),
    "moderation log": _row(Right.SERVER, does="Choosing the log's channel"),
    "moderation purge": _row(Right.MODERATOR),
    "moderation unblock": _row(Right.MODERATOR),
    "moderation words": _row(Right.SERVER, does="Changing this server's word list"),
    "privacy about": _row(Right.EVERYONE),
    "privacy export": _row(Right.EVERYONE),
    "privacy forget": _row(Right.FORGETTER),
    "privacy optin": _row(Right.EVERYONE),
    "privacy optout": _row(Right.EVERYONE),
    "status": _row(Right.EVERYONE),
    "Fork from here": _private(Right.READER, Right.TALKER),
    "Remember this": _private(Right.READER, Right.TALKER),
    "Why this reply?": _row(Right.READER),
}

# By the names of their classes; where a button's id tells what it does, with that.
CONTROLS: Mapping[str, Row] = {
    "TurnButton stop": _kept("Stop, under a reply being written", Right.ASKER),
    "TurnButton regenerate": _kept("Regenerate, under a reply", Right.ASKER, writes=True),
    "TurnButton continue": _kept("Continue, under a reply", Right.ASKER, writes=True),
    "TurnButton back": _kept("◀, under a reply: the swipe before", Right.ASKER, Right.TALKER),
    "TurnButton forth": _kept("▶, under a reply: the next swipe", Right.ASKER, Right.TALKER),
    "TurnButton delete": _kept("Delete, under a reply", Right.ASKER),
    "UndoButton restore": _kept("Undo, under `/chat reset`", Right.TALKER),
    "UndoButton unhide": _kept("Undo, under `/chat undo`", Right.TALKER),
    "UndoDeletion persona": _control(
        "Undo, after a persona was deleted", Right.SERVER, does=_PERSONAS
    ),
    "UndoDeletion lore": _control("Undo, after a lorebook was deleted", Right.SERVER, does=_BOOKS),
    "PageButton": _control("the pages of `/persona list`", Right.PRESSER),
    "Pages": _control("the pages of an answer", Right.PRESSER),
    "SummaryView": _control(
        "Rewrite and Rebuild, under `/memory summary`", Right.PRESSER, Right.MODERATOR
    ),
    "SummaryForm": _control("the form of a summary", Right.MODERATOR),
    "PersonaDeletion": _control(
        "the question of `/persona delete`", Right.PRESSER, Right.SERVER, does=_PERSONAS
    ),
    "BookDeletion": _control(
        "the question of `/lore delete`", Right.PRESSER, Right.SERVER, does=_BOOKS
    ),
    "PersonaEditor": _control(
        "the editor of a persona", Right.PRESSER, Right.SERVER, does=_PERSONAS
    ),
    "ShortForm": _control("a form of the editor", Right.SERVER, does=_PERSONAS),
    "LongForm": _control("a form of the editor", Right.SERVER, does=_PERSONAS),
    "PictureForm": _control("the form of a picture", Right.SERVER, does=_PERSONAS),
    "CreateForm": _control("the form of `/persona create`", Right.SERVER, does=_PERSONAS),
    "RetryView": _control("the same form again", Right.PRESSER, Right.SERVER, does=_PERSONAS),
    "CopyView": _control(
        "the copy that `/persona edit` offers", Right.PRESSER, Right.SERVER, does=_PERSONAS
    ),
    "CardImportView": _control(
        "the question of `/persona import`", Right.PRESSER, Right.SERVER, does=_PERSONAS
    ),
    "BookImportView": _control(
        "the question of `/lore import`", Right.PRESSER, Right.SERVER, does=_BOOKS
    ),
    "NameForm": _control("the form of another name", Right.SERVER),
    "PanelControl": _control(
        "the panel of settings; each change asks as `/settings set` does", Right.PRESSER
    ),
    "SettingForm": _control("a form of that panel; it asks as `/settings set` does", Right.PRESSER),
    "PurgeView": _control(
        "the question of `/moderation purge`", Right.PRESSER, Right.MODERATOR, does="A purge"
    ),
    "LogView": _control(
        "the button of `/moderation log`", Right.PRESSER, Right.SERVER, does="The log"
    ),
    "ForgetView": _control(
        "the question of `/privacy forget`; it asks as that does once more", Right.PRESSER
    ),
    "ReplayButton": _control(
        "Replay, under «Why this reply?»", Right.READER, Right.MODERATOR, does="A replay"
    ),
}


def row_of_command(name: str, action: object = None) -> Row | None:
    """The row of a command by its whole name, and by its option `action` where that decides."""
    return COMMANDS.get(f"{name} {action}") or COMMANDS.get(name)


def hangs_on_action(name: str) -> bool:
    """Whether a command's rows are those of its actions, of which none may be chosen yet."""
    return any(each.startswith(f"{name} ") for each in COMMANDS)


def row_of_control(kind: type, action: str = "") -> Row | None:
    """The row of a control by its class, and by what it does where several things can be done."""
    return CONTROLS.get(f"{kind.__name__} {action}".strip())
