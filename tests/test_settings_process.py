"""The settings of the process: what is taken, what is refused, and with which fix."""

import asyncio
import runpy
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import make_url

from bot.chat.messages import JsonValue
from bot.chat.personas.library import PersonaLibrary
from bot.errors import SettingsError
from bot.owner_defaults import load_owner_defaults
from bot.settings import SETTING_NAMES, ProcessSettings, load_settings
from bot.settings_checks import nearest, wrong_letters

ROOT = Path(__file__).parent.parent
# The shape of a token; nobody's.
TOKEN = "MTAwMDAwMDAwMDAwMDAwMDAwMA.GAbCdE." + "x" * 38


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refusal(environment: dict[str, str] | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(environment or {})
    assert caught.value.fix, "a refusal says what to do"
    return str(caught.value)


def test_nothing_set_gives_the_documented_defaults() -> None:
    settings = load_settings({})
    assert settings.discord_token is None
    assert settings.engine == "local"
    assert settings.model == "demo"
    assert settings.database_url == "sqlite+aiosqlite:///data/caduceus.db"
    assert settings.personas_dir == Path("personas")
    assert (settings.max_reply_tokens, settings.context_tokens) == (512, 0)
    assert (settings.openai_first_token_seconds, settings.openai_stall_seconds) == (120, 30)
    assert (settings.log_level, settings.log_format, settings.metrics_port) == ("info", "text", 0)


def test_the_database_lies_in_the_data_folder() -> None:
    assert load_settings({"DATA_DIR": "/srv/c"}).database_url.endswith(":////srv/c/caduceus.db")
    odd = load_settings({"DATA_DIR": "/srv/my data %20#1?x"}).database_url
    assert make_url(odd).database == "/srv/my data %20#1?x/caduceus.db"
    url = "sqlite+aiosqlite:///{DATA_DIR}/other.db"
    assert load_settings({"DATABASE_URL": url}).database_url.endswith("///data/other.db")


def test_the_environment_goes_before_the_file() -> None:
    Path(".env").write_text("LOG_LEVEL=debug\nOWNER_IDS='1, 2'\nMAX_REPLY_TOKENS=64 # short\n")
    settings = load_settings({"LOG_LEVEL": "ERROR", "PATH": "/bin"})
    assert settings.log_level == "error"
    assert settings.owner_ids == {1, 2}
    assert settings.max_reply_tokens == 64


def test_empty_values_are_unset() -> None:
    Path(".env").write_text("DISCORD_TOKEN=\nENGINE=\n")
    settings = load_settings({"OPENAI_API_KEY": ""})
    assert settings.discord_token is None
    assert settings.openai_api_key is None
    assert settings.engine == "local"


def test_an_empty_variable_hides_the_files_value() -> None:
    Path(".env").write_text(f"DISCORD_TOKEN={TOKEN}\n")
    assert load_settings({}).discord_token is not None
    assert load_settings({"DISCORD_TOKEN": ""}).discord_token is None


def test_settings_do_not_change_and_do_not_show_secrets() -> None:
    settings = load_settings(
        {
            "DISCORD_TOKEN": f" {TOKEN}\n",
            "OPENAI_API_KEY": "sk-hidden\n",
            "DATABASE_URL": "postgresql+asyncpg://me:hidden@db/x",
        }
    )
    assert TOKEN not in repr(settings)
    assert "hidden" not in repr(settings)
    assert set(settings.secrets()) == {TOKEN, "sk-hidden", "hidden"}
    with pytest.raises(ValueError, match="frozen"):
        settings.model = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    "token",
    [
        "your-token-here",
        "changeme",
        "<token>",
        '""',
        "''",
        "xxx",
        f"Bot {TOKEN}",
        f'"{TOKEN}"',
        "8a7b6c5d4e3f8a7b6c5d4e3f8a7b6c5d",
        TOKEN[:-20],
    ],
)
def test_what_is_no_token_is_refused_with_what_to_do(token: str) -> None:
    said = refusal({"DISCORD_TOKEN": token})
    assert "DISCORD_TOKEN" in said
    assert token not in said or len(token) < 4


@pytest.mark.parametrize(
    ("line", "example"),
    [
        ("TEMPERATURE=0.7", "`temperature = "),
        ("temperature=0.7", "`temperature = "),
        ("TEMPERATUR=0.7", "`temperature = "),
        ("TRIGGER=always", '`trigger = "mention"`'),
        ("WAKE_WORDS=bot", "`wake_words = []`"),
    ],
)
def test_a_setting_of_the_conversations_is_sent_where_it_belongs(line: str, example: str) -> None:
    Path(".env").write_text(f"ENGINE=fake\n{line}\n")
    said = refusal()
    assert ".env, line 2" in said
    assert "`defaults.toml` in DATA_DIR" in said
    assert example in said


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("ENGINE", "gpu", "ENGINE is not valid: «gpu»."),
        ("FALLBACK_ENGINE", "gpu", "FALLBACK_ENGINE is not valid: «gpu»."),
        ("LOG_LEVEL", "loud\x1b[31m", "LOG_LEVEL is not valid: «loud [31m»."),
        ("METRICS_PORT", "many", "METRICS_PORT is not valid: «many»."),
        ("CONTEXT_TOKENS", "5", "CONTEXT_TOKENS is not valid: «5»."),
        ("OWNER_IDS", "me", "OWNER_IDS is not valid: «me»."),
        ("ENGINE", "x" * 500, f"ENGINE is not valid: «{'x' * 80}…»."),
    ],
)
def test_a_value_that_is_not_valid_is_shown(name: str, value: str, shown: str) -> None:
    assert shown in refusal({name: value})


@pytest.mark.parametrize(
    "name", ["DISCORD_TOKEN", "OPENAI_API_KEY", "DATABASE_URL", "OPENAI_BASE_URL"]
)
def test_what_may_hold_a_secret_is_never_shown(name: str) -> None:
    assert "hunter2" not in refusal({name: "scheme://me:hunter2\x00\n@host/é"})


def test_empty_quotes_in_the_file_are_a_placeholder() -> None:
    Path(".env").write_text('LOG_LEVEL=info\nDISCORD_TOKEN=""\n')
    assert ".env, line 2" in refusal()


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("DISCORD_TOKN", "DISCORD_TOKEN"),
        ("DISCROD_TOKEN", "DISCORD_TOKEN"),
        ("MODLE", "MODEL"),
        ("OWNER_ID", "OWNER_IDS"),
        ("DATABSE_URL", "DATABASE_URL"),
        ("OPENAI_BASEURL", "OPENAI_BASE_URL"),
    ],
)
def test_a_setting_off_by_a_letter_is_refused_wherever_it_stands(wrong: str, right: str) -> None:
    assert f"looks like {right}" in refusal({wrong: "x"})
    Path(".env").write_text(f"\n{wrong}=x\n")
    said = refusal()
    assert f"looks like {right}" in said
    assert ".env, line 2" in said


def test_other_programs_variables_are_left_alone() -> None:
    load_settings({"PATH": "/bin", "HOME": "/root", "MODE": "x", "OPENAI_ORG_ID": "x", "LANG": "C"})


def test_the_file_holds_our_settings_alone() -> None:
    Path(".env").write_text("POSTGRES_DB=x\n")
    assert "POSTGRES_DB" in refusal()


@pytest.mark.parametrize("text", ["just words\n", "DISCORD_TOKEN\n", "=x\n"])
def test_a_line_that_is_no_setting_is_named(text: str) -> None:
    Path(".env").write_text("# fine\n" + text)
    assert ".env, line 2" in refusal()


def test_a_file_that_cannot_be_read_is_named() -> None:
    Path(".env").write_bytes(b"DISCORD_TOKEN=\xff\xfe\n")
    assert ".env cannot be read" in refusal()
    Path(".env").unlink()
    Path(".env").mkdir()
    assert ".env cannot be read" in refusal()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENGINE", "cuda"),
        ("CONTEXT_TOKENS", "-1"),
        ("CONTEXT_TOKENS", "many"),
        ("MAX_REPLY_TOKENS", "5000"),
        ("METRICS_PORT", "70000"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("OWNER_IDS", "me"),
        ("OPENAI_STALL_SECONDS", "0"),
        ("OPENAI_BASE_URL", "localhost:8000"),
        ("OPENAI_BASE_URL", "http://x:99999/v1"),
        ("OPENAI_BASE_URL", "http://x/v1/completions"),
        ("OPENAI_BASE_URL", "http://me:hidden@x/v1"),
        ("OPENAI_BASE_URL", "http://x/v1?key=hidden"),
        ("OPENAI_BASE_URL", "http://x/v1#hidden"),
        ("OPENAI_API_KEY", "sk-hidden\nX-Header: 1"),
        ("OPENAI_API_KEY", "sk-hidden-ü"),
        ("DATABASE_URL", "postgres://u:hidden@h/d"),
        ("DATABASE_URL", "sqlite:///x.db"),
        ("DATABASE_URL", "x"),
    ],
)
def test_a_value_that_does_not_do_names_its_setting(name: str, value: str) -> None:
    said = refusal({name: value})
    assert name in said
    assert "hidden" not in said


@pytest.mark.parametrize("name", ["MODEL", "DATA_DIR", "PERSONAS_DIR", "TOKENIZER"])
@pytest.mark.parametrize(
    ("path", "said"),
    [("x" * 300, "File name too long"), ("~nobody-of-that-name/x", "not known here")],
)
def test_a_place_where_nothing_can_be_is_named(name: str, path: str, said: str) -> None:
    refused = refusal({name: path})
    assert name in refused
    assert said in refused


def test_a_model_has_to_be_one(tmp_path: Path) -> None:
    for missing in (str(tmp_path / "no"), "./models/nous-hermes", "demos"):
        assert "There is no model folder" in refusal({"MODEL": missing})
    assert "Is it qwen3-4b?" in refusal({"MODEL": "qwen3-4bb"})
    assert "Is it" not in refusal({"MODEL": "./qwen3-4bb"})
    folder = tmp_path / "model"
    folder.mkdir()
    assert "no model" in refusal({"MODEL": str(folder)})
    (folder / "model.safetensors").touch()
    assert "config.json is missing" in refusal({"MODEL": str(folder)})
    (folder / "config.json").write_text("{}")
    assert load_settings({"MODEL": str(folder)}).model == str(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "pickles" in refusal({"MODEL": str(folder)})
    (folder / "pytorch_model.bin").unlink()
    assert "no .safetensors" in refusal({"MODEL": str(folder)})
    text = tmp_path / "readme.txt"
    text.touch()
    assert "is not a model" in refusal({"MODEL": str(text)})


def test_a_hub_id_and_a_gguf_file_are_models(tmp_path: Path) -> None:
    assert load_settings({"MODEL": "TheBloke/Nous-Hermes-13B-GPTQ"})
    weights = tmp_path / "tiny.gguf"
    weights.touch()
    assert load_settings({"MODEL": str(weights)})
    assert load_settings({"MODEL": str(tmp_path)})


def test_a_remote_engine_needs_an_address_and_no_model_here(tmp_path: Path) -> None:
    assert "OPENAI_BASE_URL" in refusal({"ENGINE": "openai"})
    remote = {"ENGINE": "openai", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1/", "MODEL": "/no"}
    assert load_settings(remote).openai_base_url == "http://127.0.0.1:1/v1"
    assert "TOKENIZER" in refusal({**remote, "TOKENIZER": str(tmp_path / "no")})
    assert "TOKENIZER" in refusal({**remote, "TOKENIZER": str(tmp_path)})
    (tmp_path / "tokenizer.json").write_text("{}")
    assert load_settings({**remote, "TOKENIZER": str(tmp_path)}).tokenizer == tmp_path


REMOTE = {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}


def test_there_is_no_second_engine_unless_one_is_named() -> None:
    settings = load_settings({})
    assert settings.fallback() is None
    assert settings.fallback_after_seconds == 30


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"FALLBACK_MODEL": "demo"}, "FALLBACK_ENGINE is not"),
        ({"FALLBACK_ENGINE": "gpu"}, "FALLBACK_ENGINE is not valid"),
        ({"FALLBACK_ENGINE": "openai"}, "FALLBACK_ENGINE=openai needs OPENAI_BASE_URL"),
        ({"FALLBACK_ENGINE": "local"}, "over again"),
        ({"FALLBACK_ENGINE": "local", "FALLBACK_MODEL": "demo"}, "over again"),
        ({"FALLBACK_ENGINE": "local", "FALLBACK_MODEL": "demos"}, "FALLBACK_MODEL is not valid"),
        ({"ENGINE": "fake", "FALLBACK_ENGINE": "fake"}, "over again"),
        ({"ENGINE": "openai", "FALLBACK_ENGINE": "openai", **REMOTE}, "over again"),
        (
            {
                "ENGINE": "openai",
                "FALLBACK_ENGINE": "openai",
                "OPENAI_MODEL": "hermes",
                "FALLBACK_MODEL": "hermes",
                **REMOTE,
            },
            "over again",
        ),
        ({"FALLBACK_AFTER_SECONDS": "0"}, "FALLBACK_AFTER_SECONDS is not valid"),
        ({"FALLBACK_ENGINE": "openai", "TOKENIZER": "nowhere", **REMOTE}, "TOKENIZER"),
    ],
)
def test_a_second_engine_is_checked_like_the_first(environment: dict[str, str], named: str) -> None:
    assert named in refusal(environment)


def test_the_same_folder_by_another_path_is_the_same_engine(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").touch()
    same = {"MODEL": str(tmp_path / "tiny.gguf"), "FALLBACK_MODEL": "./tiny.gguf"}
    assert "over again" in refusal({"FALLBACK_ENGINE": "local", **same})


def test_the_second_engine_reads_the_settings_as_its_own(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    common = {
        "CONTEXT_TOKENS": "2048",
        "PROMPT_FORMAT": "alpaca",
        "OPENAI_MODEL": "hermes",
        "TOKENIZER": str(tmp_path),
        **REMOTE,
    }
    remote = load_settings({"FALLBACK_ENGINE": " OpenAI ", **common}).fallback()
    assert remote is not None
    assert (remote.engine, remote.openai_model, remote.tokenizer) == ("openai", "hermes", tmp_path)
    assert (remote.prompt_format, remote.context_tokens) == ("auto", 0)
    assert remote.openai_base_url == REMOTE["OPENAI_BASE_URL"]
    both = {"ENGINE": "openai", "FALLBACK_ENGINE": "openai", "FALLBACK_MODEL": "small", **common}
    other = load_settings(both).fallback()
    assert other is not None
    assert (other.openai_model, other.tokenizer) == ("small", None)
    here = load_settings({"ENGINE": "openai", "FALLBACK_ENGINE": "local", **common}).fallback()
    assert here is not None
    assert (here.engine, here.model) == ("local", "demo")


@pytest.mark.parametrize(("engine", "kept"), [("local", 0.0), ("openai", 8.0)])
def test_of_two_engines_here_the_first_alone_has_the_machines_memory(
    engine: str, kept: float
) -> None:
    both = {"FALLBACK_ENGINE": "local", "FALLBACK_MODEL": "some/model", "HOST_KV_CACHE": "8"}
    settings = load_settings({"ENGINE": engine, "OPENAI_MODEL": "hermes", **REMOTE, **both})
    second = settings.fallback()
    assert second is not None
    assert (settings.host_kv_cache, second.host_kv_cache) == (8.0, kept)


@given(st.sampled_from(SETTING_NAMES), st.data())
def test_one_wrong_letter_is_always_noticed(name: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(name) - 1))
    letter = data.draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ_"))
    for wrong in (
        name[:place] + name[place + 1 :],
        name[:place] + letter + name[place + 1 :],
        name[:place] + letter + name[place:],
    ):
        assert wrong in SETTING_NAMES or nearest(wrong, SETTING_NAMES)


@pytest.mark.parametrize(
    ("name", "meant", "wrong"),
    [
        ("MODEL", "MODEL", 0),
        ("MODLE", "MODEL", 1),
        ("MDEL", "MODEL", 1),
        ("MOODEL", "MODEL", 1),
        ("MEDEL", "MODEL", 1),
        ("DISCROD_TOKN", "DISCORD_TOKEN", 2),
        ("", "MODEL", 5),
    ],
)
def test_wrong_letters_are_counted(name: str, meant: str, wrong: int) -> None:
    assert wrong_letters(name, meant) == wrong


@pytest.mark.parametrize("name", ["OPENAI_API_BASE", "OPENAI_ORG", "LOG_FILE", "DATA", "MOD"])
def test_other_programs_settings_are_no_misspellings(name: str) -> None:
    assert not nearest(name, SETTING_NAMES)


async def loaded(folder: Path) -> Mapping[str, JsonValue]:
    personas = await asyncio.to_thread(PersonaLibrary, ROOT / "personas")
    return await load_owner_defaults(folder, personas)


class TestOwnerDefaults:
    @pytest.mark.parametrize("reference", ["mira solenne", "file:mira", "FILE:MIRA"])
    async def test_a_persona_is_named_or_referred_to_by_its_id(
        self, tmp_path: Path, reference: str
    ) -> None:
        (tmp_path / "defaults.toml").write_text(f'persona = "{reference}"\n')
        assert await loaded(tmp_path) == {"persona": "file:mira"}

    async def test_no_file_means_none(self, tmp_path: Path) -> None:
        assert await loaded(tmp_path) == {}

    async def test_values_are_checked_and_kept(self, tmp_path: Path) -> None:
        (tmp_path / "defaults.toml").write_text(
            'temperature = 0.5\ntop_k = 40\ntrigger = "Always"\nwake_words = ["a", "b"]\n'
        )
        assert await loaded(tmp_path) == {
            "temperature": 0.5,
            "top_k": 40,
            "trigger": "always",
            "wake_words": ["a", "b"],
        }

    @pytest.mark.parametrize(
        ("text", "named"),
        [
            ("temperature = 3\n", "temperature"),
            ("temperatur = 1\n", "temperature"),
            ("colour = 1\n", "colour"),
            ('persona = "nobody"\n', "There are: Caduceus, Mira Solenne, Quill"),
            ("top_k = true\n", "top_k"),
            ("[trigger]\nx = 1\n", "trigger"),
            ("temperature: 1\n", "not TOML"),
            ("top_k = " + "9" * 5000, "not TOML"),
            ("top_k = " + "[" * 100_000, "not TOML"),
        ],
    )
    async def test_faults_name_the_file_and_the_key(
        self, tmp_path: Path, text: str, named: str
    ) -> None:
        (tmp_path / "defaults.toml").write_text(text)
        with pytest.raises(SettingsError) as caught:
            await loaded(tmp_path)
        assert "defaults.toml" in str(caught.value)
        assert named in str(caught.value)


def test_what_is_made_from_the_definitions_is_up_to_date() -> None:
    tables = runpy.run_path(str(ROOT / "scripts" / "readme_tables.py"))
    assert (ROOT / ".env.example").read_text() == tables["env_example"]()
    readme = (ROOT / "README.md").read_text()
    assert tables["with_tables"](readme) == readme
    listed = [name for names in tables["SECTIONS"].values() for name in names]
    assert sorted(listed) == sorted(ProcessSettings.model_fields)


def test_the_example_file_is_one_that_starts(tmp_path: Path) -> None:
    example = (ROOT / ".env.example").read_text()
    (tmp_path / "personas").mkdir()
    (tmp_path / ".env").write_text(example)
    assert load_settings({}) == ProcessSettings()
    (tmp_path / ".env").write_text(example.replace("\n#", "\n").replace("\n ", "\n# "))
    assert load_settings({}) == ProcessSettings()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("CONTEXT_TOKENS", "-1", "It takes at least 256, or 0 for the model's own;"),
        ("CONTEXT_TOKENS", "5", "It takes at least 256, or 0 for the model's own;"),
        ("CONTEXT_TOKENS", "255", "It takes at least 256, or 0 for the model's own;"),
        ("MAX_REPLY_TOKENS", "5000", "It takes at most 2048;"),
        ("OPENAI_STALL_SECONDS", "0", "It takes more than 0;"),
    ],
)
def test_a_number_out_of_range_is_told_its_bound(name: str, value: str, says: str) -> None:
    assert says in refusal({name: value})


@pytest.mark.parametrize("value", [0, 256, 4096])
def test_a_context_in_which_a_reply_has_room_is_taken(value: int) -> None:
    assert load_settings({"CONTEXT_TOKENS": str(value)}).context_tokens == value


def test_a_persona_folder_that_was_named_has_to_be_there(tmp_path: Path) -> None:
    assert "There is no PERSONAS_DIR: nowhere." in refusal({"PERSONAS_DIR": "nowhere"})
    assert "There is no PERSONAS_DIR: personas." in refusal({"PERSONAS_DIR": "personas"})
    (tmp_path / "ada.toml").touch()
    assert "PERSONAS_DIR is no folder" in refusal({"PERSONAS_DIR": str(tmp_path / "ada.toml")})
    assert load_settings({"PERSONAS_DIR": str(tmp_path)}).personas_dir == tmp_path
    Path(".env").write_text("PERSONAS_DIR=nowhere\n")
    assert "There is no PERSONAS_DIR" in refusal()


def test_without_the_usual_persona_folder_it_goes_on(tmp_path: Path) -> None:
    assert not (tmp_path / "personas").exists()
    assert load_settings({}).personas_dir == Path("personas")


def test_the_cache_of_conversations_is_one_of_three_kinds(tmp_path: Path) -> None:
    def read(value: str) -> str:
        return load_settings({"KV_CACHE": value}, tmp_path / ".env").kv_cache

    assert [read(value) for value in ("", "8BIT", "16bit")] == ["auto", "8bit", "16bit"]
    with pytest.raises(SettingsError, match="KV_CACHE is not valid: «4bit»"):
        read("4bit")


def test_guessing_ahead_is_left_to_the_machine_or_not(tmp_path: Path) -> None:
    def read(value: str) -> str:
        return load_settings({"GUESS_AHEAD": value}, tmp_path / ".env").guess_ahead

    assert [read(value) for value in ("", "ON", "off")] == ["auto", "on", "off"]
    with pytest.raises(SettingsError, match="GUESS_AHEAD is not valid: «yes»"):
        read("yes")


def test_the_machines_memory_for_conversations_is_auto_or_gigabytes(tmp_path: Path) -> None:
    def read(value: str) -> int | None:
        return load_settings({"HOST_KV_CACHE": value}, tmp_path / ".env").host_kv_bytes

    assert [read(value) for value in ("", "AUTO", "0", "2.5")] == [0, None, 0, 2_500_000_000]
    for wrong in ("-1", "much", "nan", "1e9"):
        with pytest.raises(SettingsError, match="HOST_KV_CACHE"):
            read(wrong)
