"""The exception tree.

::

    CaduceusError
    ├── UserError                 the person's mistake: exit code 2 on the command line
    │   ├── SettingsError         a setting of the process (environment, .env, defaults.toml)
    │   ├── ChannelSettingError   a value that `/settings set` refuses
    │   │   └── SettingChanged    somebody else changed it since the person looked
    │   ├── PersonaError          a persona file or card that cannot be used
    │   ├── LorebookError         a lorebook file that cannot be used
    │   ├── ModelError            a model folder that is missing, cut off, foreign or unsafe
    │   ├── NotAllowed            the person may not do this here
    │   └── NotFound              nothing by that name, number or id
    ├── EngineError               a reply could not be generated
    │   ├── RequestTooLarge       prompt and reply can never fit the model's context or KV room
    │   ├── EngineUnavailable     the engine is starting, restarting or shut down
    │   ├── EngineFailed          the engine died under this request (out of memory, a fault)
    │   └── RemoteEngineError     the OpenAI-compatible server refused, broke off or stalled
    └── StoreError                the database is unreachable or damaged
        └── WrongDatabase         a UserError too: the one that is named cannot be used

Every message is one that a person can be shown: what happened and, after it, what to do (`fix`).
Foreign exceptions are translated once, at the edge that met them, with ``raise ... from``.
"""


class CaduceusError(Exception):
    """Base of everything that Caduceus raises on purpose."""

    def __init__(self, message: str, fix: str = "") -> None:
        """`message` says what happened, `fix` what the person can do about it."""
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message} {self.fix}".strip()


class UserError(CaduceusError):
    """A mistake that the person who typed or configured can put right."""


class SettingsError(UserError):
    """A setting of the process is missing, misspelt or out of range."""


class ChannelSettingError(UserError):
    """A value for a guild's or channel's setting is not acceptable."""


class SettingChanged(ChannelSettingError):  # noqa: N818
    """Somebody else changed a setting since the person looked: nothing is lost in silence."""


class PersonaError(UserError):
    """A persona file or character card cannot be read; names the file and the line."""


class LorebookError(UserError):
    """A lorebook file cannot be read; names the file, what it is and, if known, the line."""


class ModelError(UserError):
    """A model folder or file is missing, cut off, foreign or of an unsafe kind."""


class NotAllowed(UserError):  # noqa: N818 - reads as the sentence it is
    """The person lacks the permission for this."""


class NotFound(UserError):  # noqa: N818
    """Nothing goes by that name, number or id."""


class EngineError(CaduceusError):
    """A reply could not be generated."""


class RequestTooLarge(EngineError):  # noqa: N818
    """Prompt and reply can never fit; trying again cannot help."""


class EngineUnavailable(EngineError):  # noqa: N818
    """The engine is not running now; trying later can help."""


class EngineFailed(EngineError):  # noqa: N818
    """The engine died while it worked on this request."""


class RemoteEngineError(EngineError):
    """The remote server refused, broke off or stalled."""


class StoreError(CaduceusError):
    """The database is unreachable, or damaged."""


class WrongDatabase(StoreError, UserError):  # noqa: N818
    """The database is newer than this program, somebody else's, or not to be opened at all.

    Found at start, before anybody has said anything.
    """
