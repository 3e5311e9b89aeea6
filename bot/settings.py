"""The settings of the process: environment first, then `.env` in the working directory.

Built once, in `main()`, by :func:`load_settings`; never at import. Each field is one setting, named
in capitals outside; its description, with the default, makes `.env.example` and the README's table.
"""

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal, Self

from dotenv.parser import parse_stream
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from bot.errors import SettingsError
from bot.settings_checks import (
    check_api_key,
    check_auto_or_gigabytes,
    check_base_url,
    check_database_url,
    check_model,
    check_path,
    check_persona_folder,
    check_token,
    check_tokenizer,
    nearest,
    refuse_empty_quotes,
    translated,
    unknown_setting,
)

ENV_FILE = Path(".env")
WORDS = ("engine", "fallback_engine", "kv_cache", "guess_ahead", "log_level", "log_format")
DEMO_MODEL = "demo"
LEAST_CONTEXT_TOKENS = 256  # below that, a persona and a question leave no room for a reply


# Names that other programs use, though they are a letter off one of ours.
FOREIGN_NAMES = frozenset({"MODE", "MODELS"})


class ProcessSettings(BaseModel):
    """What the person who runs Caduceus decides. Immutable; secrets print as stars."""

    model_config = ConfigDict(frozen=True, extra="ignore", validate_default=True)

    discord_token: SecretStr | None = Field(
        default=None,
        description="The bot's token, from the Bot page of Discord's developer portal. "
        "Without it, the local page starts instead of the bot.",
    )
    owner_ids: frozenset[int] = Field(
        default=frozenset(),
        description="Discord user ids of the bot's owners, separated by commas.",
    )
    data_dir: Path = Field(
        default=Path("data"),
        description="Where the database, the prepared model and `defaults.toml` are.",
    )
    database_url: str = Field(
        default="sqlite+aiosqlite:///{DATA_DIR}/caduceus.db",
        validate_default=True,
        repr=False,  # may hold a password
        description="The database: SQLite, or PostgreSQL as "
        "`postgresql+asyncpg://user:password@host/database`. `{DATA_DIR}` stands for that folder.",
    )
    personas_dir: Path = Field(
        default=Path("personas"),
        validate_default=False,  # where nobody named one, the bot does without: PersonaLibrary
        description="The folder with the persona files.",
    )
    engine: Literal["local", "openai", "fake"] = Field(
        default="local",
        description="Where replies are generated: `local` in this process, `openai` on an "
        "OpenAI-compatible server, `fake` from a script (for trying things out).",
    )
    model: str = Field(
        default=DEMO_MODEL,
        description="For `ENGINE=local`: `demo` (SmolLM2-135M-Instruct, embedded), a folder, a "
        "GGUF file, a short name of `model suggest`, or a model of the Hugging Face hub: "
        "`owner/name`, or `owner/name:FILE` for one file of it.",
    )
    prompt_format: str = Field(
        default="auto",
        description="How a conversation is written for the model: `auto` takes the model's own "
        "chat template, else what its name hints at; `template` insists on the template; or "
        "`alpaca`, `alpaca-input`, `chatml`, `vicuna`, `llama-2`.",
    )
    context_tokens: int = Field(
        default=0,
        le=10_000_000,
        description="How many tokens prompt and reply may have together, "
        f"{LEAST_CONTEXT_TOKENS} at least; 0 is the model's own (of a GGUF file 8,192 of them at "
        "most on a processor, 32,768 on a GPU, and what memory allows).",
    )
    cpu_threads: int = Field(
        default=0,
        ge=0,
        le=1024,
        description="For `ENGINE=local` without a GPU: how many threads compute; 0 is one for each "
        "of the machine's cores. Fewer leave room for other programs.",
    )
    kv_cache: Literal["auto", "16bit", "8bit"] = Field(
        default="auto",
        description="How exactly a conversation is remembered. `8bit` takes half the memory of "
        "`16bit`. `auto` is, for GGUF files, `16bit` where that fits; for GPTQ on a GPU `8bit`, "
        "unless the model is in bfloat16.",
    )
    guess_ahead: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="For folders that torch runs (GGUF files are run without): whether the next "
        "words are guessed from the talk itself and checked several at a time, while that is "
        "measured to be faster; the reply is the same. `auto` means `off` for now: it has not been "
        "measured on a GPU yet.",
    )
    host_kv_cache: Literal["auto"] | float = Field(
        default=0.0,
        description="For GPTQ and float models on a GPU: how many GB of the machine's memory keep "
        "the conversations that the GPU has no room for. `auto` is a quarter of what is free, 16 "
        "at most; 0 keeps none, which is the default until it has been measured on a GPU. Of two "
        "local engines, only ENGINE has it.",
    )
    max_reply_tokens: int = Field(
        default=512,
        ge=16,
        le=2048,
        description="The longest reply anywhere, in tokens; channels can set less.",
    )
    thinking_tokens: int = Field(
        default=1024,
        ge=0,
        le=32_768,
        description="How many tokens a model that thinks before it answers may take for that, "
        "beside its reply; nobody sees them. 0 has it answer at once.",
    )
    openai_base_url: str = Field(
        default="",
        description="For `ENGINE=openai`: the server's address with its version, such as "
        "`http://127.0.0.1:8000/v1`.",
    )
    openai_api_key: SecretStr | None = Field(
        default=None, description="The server's key, if it wants one."
    )
    openai_model: str = Field(
        default="", description="The model's name on the server; empty takes the first it lists."
    )
    openai_first_token_seconds: float = Field(
        default=120,
        gt=0,
        le=3600,
        description="How long the server may take until the first token.",
    )
    openai_stall_seconds: float = Field(
        default=30, gt=0, le=3600, description="How long the server may pause within a reply."
    )
    tokenizer: Path | None = Field(
        default=None,
        description="For `ENGINE=openai` with a server that cannot count tokens: a folder with "
        "the model's tokenizer. Without it, counts are a cautious estimate.",
    )
    fallback_engine: Literal["local", "openai", "fake"] | None = Field(
        default=None,
        description="A second engine, which answers while the first is down or too busy: `local`, "
        "`openai` (on the server of `OPENAI_BASE_URL`) or `fake`. Empty is none.",
    )
    fallback_model: str = Field(
        default="",
        description="The second engine's model: as `MODEL` for `local` (empty is `demo`), the "
        "name on the server for `openai` (empty is `OPENAI_MODEL`). It is written for in its own "
        "format and context; `PROMPT_FORMAT` and `CONTEXT_TOKENS` are the first's.",
    )
    fallback_after_seconds: float = Field(
        default=30,
        gt=0,
        le=3600,
        description="How long the wait for the first engine may be, until the second is asked.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="How much is logged: `debug`, `info`, `warning` or `error`."
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="`text` for people, `json` for log collectors."
    )
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Prometheus metrics on this port of 127.0.0.1; 0 is off.",
    )

    @field_validator(*WORDS, mode="before")
    @classmethod
    def _any_case(cls, value: object) -> object:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("host_kv_cache", mode="before")
    @classmethod
    def _auto_or_gigabytes(cls, value: object) -> object:
        return check_auto_or_gigabytes(value)

    @field_validator("owner_ids", mode="before")
    @classmethod
    def _numbers(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        parts = [part.strip() for part in value.split(",") if part.strip()]
        if not all(part.isascii() and part.isdigit() for part in parts):
            raise ValueError("numbers, separated by commas")
        return frozenset(int(part) for part in parts)

    @field_validator("discord_token")
    @classmethod
    def _real_token(cls, value: SecretStr | None) -> SecretStr | None:
        return None if value is None else SecretStr(check_token(value.get_secret_value()))

    @field_validator("openai_api_key")
    @classmethod
    def _sendable_key(cls, value: SecretStr | None) -> SecretStr | None:
        return None if value is None else SecretStr(check_api_key(value.get_secret_value()))

    @field_validator("data_dir", "personas_dir", "tokenizer")
    @classmethod
    def _home(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is None:
            return None
        path = check_path(value, str(info.field_name).upper())
        return check_persona_folder(path) if info.field_name == "personas_dir" else path

    @field_validator("context_tokens")
    @classmethod
    def _room_for_a_reply(cls, value: int) -> int:
        if value != 0 and value < LEAST_CONTEXT_TOKENS:
            raise ValueError(f"at least {LEAST_CONTEXT_TOKENS}, or 0 for the model's own")
        return value

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: str, info: ValidationInfo) -> str:
        folder = str(info.data.get("data_dir", ""))
        in_url = folder.replace("%", "%25").replace("?", "%3F")  # else an escape, or the query
        return check_database_url(value).replace("{DATA_DIR}", in_url)

    @field_validator("openai_base_url")
    @classmethod
    def _address(cls, value: str) -> str:
        return check_base_url(value) if value else ""

    @field_validator("prompt_format", mode="after")
    @classmethod
    def _format_name(cls, value: str) -> str:
        return value.strip().lower()

    @model_validator(mode="after")
    def _engine_has_what_it_needs(self) -> Self:
        _check_engine(self, "ENGINE", "MODEL")
        second = self.fallback()
        if second is not None:
            _check_engine(second, "FALLBACK_ENGINE", "FALLBACK_MODEL")
            if _is_same_engine(self, second):
                raise SettingsError(
                    "FALLBACK_ENGINE with FALLBACK_MODEL is the first engine over again.",
                    "Name another engine or another model, or take both out.",
                )
        elif self.fallback_model:
            raise SettingsError(
                "FALLBACK_MODEL is set, and FALLBACK_ENGINE is not.",
                "Set FALLBACK_ENGINE to local or openai, or take FALLBACK_MODEL out.",
            )
        return self

    def fallback(self) -> "ProcessSettings | None":
        """These settings as the second engine reads them, as if it were the only one."""
        if self.fallback_engine is None:
            return None
        both_here = self.engine == self.fallback_engine == "local"
        both_remote = self.engine == self.fallback_engine == "openai"
        return self.model_copy(
            update={
                "engine": self.fallback_engine,
                "model": self.fallback_model or DEMO_MODEL,
                "openai_model": self.fallback_model or self.openai_model,
                "prompt_format": "auto",
                "context_tokens": 0,
                "tokenizer": None if both_remote else self.tokenizer,  # of another model
                # Set aside once: two would take twice as much of the machine.
                "host_kv_cache": 0.0 if both_here else self.host_kv_cache,
                "fallback_engine": None,
                "fallback_model": "",
            }
        )

    @property
    def host_kv_bytes(self) -> int | None:
        """HOST_KV_CACHE in bytes; None is by the machine."""
        return None if self.host_kv_cache == "auto" else int(self.host_kv_cache * 1e9)

    def secrets(self) -> tuple[str, ...]:
        """What must never stand in a log."""
        found = [s.get_secret_value() for s in (self.discord_token, self.openai_api_key) if s]
        password = re.match(r"[^:]+://[^:/@]*:([^@]+)@", self.database_url)
        return tuple(found + ([password[1]] if password else []))


def _check_engine(settings: ProcessSettings, engine_name: str, model_name: str) -> None:
    """Whether an engine has what it needs; the names are those of the settings to be changed."""
    if settings.engine == "local":
        check_model(settings.model, model_name)
    if settings.engine == "openai":
        if not settings.openai_base_url:
            raise SettingsError(
                f"{engine_name}=openai needs OPENAI_BASE_URL.",
                "Set it to the server's address, such as http://127.0.0.1:8000/v1.",
            )
        if settings.tokenizer is not None:
            check_tokenizer(settings.tokenizer)


def _is_same_engine(first: ProcessSettings, second: ProcessSettings) -> bool:
    if first.engine != second.engine or first.engine == "fake":
        return first.engine == second.engine
    if first.engine == "openai":
        return first.openai_model == second.openai_model
    paths = [Path(one.model).expanduser().resolve() for one in (first, second)]
    return first.model == second.model or paths[0] == paths[1]


SETTING_NAMES = tuple(name.upper() for name in ProcessSettings.model_fields)


def load_settings(
    environment: Mapping[str, str] | None = None, env_file: Path = ENV_FILE
) -> ProcessSettings:
    """Read, check and freeze the settings. Raises SettingsError with the fix."""
    environment = os.environ if environment is None else environment
    values = read_env_file(env_file, SETTING_NAMES)
    values |= read_environment(environment, SETTING_NAMES)
    try:
        return ProcessSettings.model_validate(
            {name.lower(): value for name, value in values.items() if value}
        )
    except ValidationError as error:
        raise translated(error) from None


def read_environment(environment: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    """The settings among the variables. Raises SettingsError for a name that is nearly one."""
    for name in environment:
        upper = name.upper()
        if upper in names or upper in FOREIGN_NAMES:
            continue
        if nearest(upper, names):
            raise unknown_setting(name, "in the environment", names)
    return {name.upper(): value for name, value in environment.items() if name.upper() in names}


def read_env_file(path: Path, names: Collection[str]) -> dict[str, str]:
    """The settings in `.env`, all of whose keys have to be ours. Raises SettingsError."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            bindings = list(parse_stream(stream))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{path} cannot be read: {error}.", "Make it a readable text file in UTF-8."
        ) from error
    values: dict[str, str] = {}
    for binding in bindings:
        text = binding.original.string  # may begin with blank lines
        line = binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
        if binding.error or (binding.key is not None and binding.value is None):
            raise SettingsError(
                f"{path}, line {line}, is not a setting.", "Write NAME=value, one a line."
            )
        if binding.key is None:
            continue
        name = binding.key.upper()
        if name not in names:
            raise unknown_setting(binding.key, f"in {path}, line {line}", names)
        if not binding.value and re.search(r"=\s*(\"\"|'')", text):
            refuse_empty_quotes(name, path, line)
        values[name] = binding.value or ""
    return values
