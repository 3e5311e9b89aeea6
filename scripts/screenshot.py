"""Make the README's picture of the workbench: the real page in headless Chromium.

    python scripts/screenshot.py                  # writes docs/workbench.png
    python scripts/screenshot.py --all FOLDER     # every view, to look the page over

The replies are scripted, everything else is the program: its database, its core, its page.
"""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright, expect

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bot.chat.engines import Engines  # noqa: E402
from bot.chat.persona import PersonaText  # noqa: E402
from bot.chat.personas.cards.edits import new_card  # noqa: E402
from bot.chat.personas.cards.pictures import plain_picture  # noqa: E402
from bot.chat.personas.cards.writing import Format, write_card  # noqa: E402
from bot.chat.personas.folder import PersonaFolder  # noqa: E402
from bot.chat.personas.library import PersonaLibrary  # noqa: E402
from bot.chat.settings import SettingsCascade  # noqa: E402
from bot.chat.talk.conversations import Conversations  # noqa: E402
from bot.engine.api import EngineStatus, ModelInfo  # noqa: E402
from bot.engine.fake import FakeEngine  # noqa: E402
from bot.store.database import Database  # noqa: E402
from bot.workbench import Workbench  # noqa: E402

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESK = {"width": 1280, "height": 800}
WIDE = {"width": 1480, "height": 860}
PHONE = {"width": 390, "height": 844}

PERSONA = "Mira Solenne"
TALK = (
    "Shelter, mostly. Is it always this loud up here?",
    "And if a ship answers?",
)
SCRIPT = """
*She sets a bowl in front of you and does not ask whether you are hungry.*

"Loud is good. It's fog you should mind: it takes the gulls away one by one, and when the last of \
them is quiet I light the second lamp and start the horn. Four seconds on, twenty-six off. \
**Never twenty-five.** Somebody out there is counting."
---
"Then I write it down."

```
23:40  one long, two short, NNW
23:52  the same, nearer
```
---
*Her eyes go to the dark window, quite awake.*

"Then I count with them. One long, two short means that they have heard me and know where the \
rocks are. Anything else, and I'm down four hundred and twelve steps and in the boat before \
the soup is cold."
"""


class PictureEngine(FakeEngine):
    """Says of itself what it is: nothing in the picture should pass for a model."""

    def status(self) -> EngineStatus:
        """As the scripted engine's, in words for the sidebar."""
        return replace(super().status(), device="no model")


async def talk(page: Page) -> None:
    """Have the conversation of the picture."""
    await page.get_by_role("button", name="Choose a persona").click()
    await page.locator("#persona-list").get_by_role("button", name=PERSONA).click()
    await expect(page.locator("#bar-name")).to_have_text(PERSONA)
    for text in TALK:
        await page.get_by_label(f"Message to {PERSONA}").fill(text)
        await page.keyboard.press("Enter")
        await expect(page.locator(".turn.user").last).to_contain_text(text)
        await expect(page.get_by_role("button", name="Write another reply")).to_be_enabled()
    await page.get_by_role("button", name="Write another reply").click()
    await expect(page.locator(".turn.bot").last).to_contain_text("2/2")


async def open_page(browser: Browser, url: str, size: dict[str, int], scheme: str) -> Page:
    """A page of its own, with the person's name filled in."""
    context = await browser.new_context(
        viewport=size,  # type: ignore[arg-type]
        color_scheme=scheme,  # type: ignore[arg-type]
        device_scale_factor=1.5,
        has_touch=size is PHONE,
        is_mobile=size is PHONE,
    )
    await context.add_init_script("localStorage.setItem('caduceus-name', 'Ines')")
    page = await context.new_page()
    await page.goto(url)
    await page.locator("#chats button").first.wait_for(state="attached")
    return page


async def sit(page: Page) -> None:
    """Let fonts and transitions settle; nothing hovered, nothing blinking."""
    await page.mouse.move(0, 0)
    await page.evaluate("document.activeElement.blur()")
    await page.wait_for_timeout(400)


async def panel(page: Page) -> None:
    """Open the settings."""
    await page.get_by_role("button", name="Settings of this chat").click()
    await page.locator(".control").first.wait_for()


async def why(page: Page) -> None:
    """Open «why this reply»."""
    await page.get_by_role("button", name="Why this reply?").last.click()
    await page.locator(".tiles").wait_for()


async def personas(page: Page) -> None:
    """Open the personas."""
    await page.locator("#open-personas").click()
    await page.locator("#persona-list button").first.wait_for()


async def drawer(page: Page) -> None:
    """Open the sidebar of a phone."""
    await page.locator("#open-sidebar").click()


async def past(page: Page) -> None:
    """An earlier conversation, read."""
    await page.get_by_role("button", name="More", exact=True).click()
    await page.locator("#reset").click()
    await page.locator("#message").fill("x" * 20_512)
    await page.get_by_role("button", name="More", exact=True).click()
    await page.locator("#open-past").click()
    await page.locator(".past-list button").first.click()
    await expect(page.locator(".past-turns")).to_be_visible()


async def past_list(page: Page) -> None:
    """The list of them, after the one before was left."""
    await page.get_by_role("button", name="More", exact=True).click()
    await page.locator("#open-past").click()
    await expect(page.locator(".past-list")).to_be_visible()


async def editor(page: Page) -> None:
    """A persona in the editor."""
    await page.evaluate("document.getElementById('open-workshop').click()")  # in a phone's drawer
    await page.locator("#shelf-list button", has_text=PERSONA).click()
    await page.locator(".gauge .meter").wait_for()


async def shelf(page: Page) -> None:
    """The list of personas."""
    await page.evaluate("document.getElementById('open-workshop').click()")
    await page.locator("#shelf-list button").first.wait_for()


async def card(page: Page) -> None:
    """A card that was dropped, before it is taken."""
    await page.evaluate("document.getElementById('open-workshop').click()")
    files = [{"name": "Nova.png", "mimeType": "image/png", "buffer": example_card()}]
    await page.locator("#file").set_input_files(files)  # type: ignore[arg-type]
    await page.locator("#card .card-picture").wait_for()


async def lore(page: Page) -> None:
    """The lorebook tester with a book and a chat."""
    await page.evaluate("document.getElementById('open-workshop').click()")
    files = [{"name": "coast.json", "mimeType": "application/json", "buffer": example_book()}]
    await page.locator("#file").set_input_files(files)  # type: ignore[arg-type]
    await page.locator("#lore-chat").fill(
        "Ines: Who lit the lamp before you?\nMira Solenne: Old Bram. He kept the fog horn, too."
    )
    await page.locator(".entries .fires", has_text="Old Bram").wait_for()


def example_book() -> bytes:
    """A lorebook of a lighthouse."""
    entries = [
        {"key": ["lamp", "lantern"], "content": "It burns whale oil.", "comment": "The lamp"},
        {"key": ["Bram"], "content": "Bram drowned in the fog of '09.", "comment": "Old Bram"},
        {"key": ["fog"], "content": "The fog takes ships.", "comment": "Fog", "order": 90},
        {"key": [], "constant": True, "content": "A coast of rocks.", "comment": "The coast"},
        {"key": ["Heron"], "content": "A ship that was lost.", "comment": "The Heron"},
        {"key": ["lamp"], "keysecondary": ["oil"], "selective": True, "content": "No oil left.",
         "comment": "Out of oil"},
        {"key": ["lamp"], "disable": True, "content": "x", "comment": "An older lamp"},
    ]  # fmt: skip
    named = {str(number): {"uid": number, **entry} for number, entry in enumerate(entries)}
    return json.dumps({"name": "The coast", "entries": named}).encode()


def example_card() -> bytes:
    """A card with a picture, as people share them."""
    persona = PersonaText(
        name=PERSONA,
        description="{{char}} keeps the light. " * 40,
        personality="Warm but slow to trust; dry humour; patient.",
        scenario="A storm has closed the coast road.",
        greeting="*The bolt slides back.* In, before the wind decides for you.",
        alternate_greetings=("You again. Soup is on.",),
        example_dialogue="<START>\n{{user}}: Hello?\n{{char}}: In.",
        creator_notes="Best with a low temperature.\n\n![banner](https://example.org/banner.png)",
        creator="somebody",
        tags=("lighthouse", "slow burn", "sea"),
        lorebook={"entries": [{"keys": ["lamp"], "content": "It burns whale oil."}]},
    )
    return write_card(new_card(persona, plain_picture(PERSONA)), Format.PNG, 0).content


async def nothing(_page: Page) -> None:
    """The conversation itself."""


VIEWS: dict[str, tuple[dict[str, int], str, Callable[[Page], Awaitable[None]]]] = {
    "desk-light": (DESK, "light", nothing),
    "desk-dark": (DESK, "dark", nothing),
    "wide-settings-light": (WIDE, "light", panel),
    "wide-settings-dark": (WIDE, "dark", panel),
    "why-light": (DESK, "light", why),
    "why-dark": (DESK, "dark", why),
    "personas-light": (DESK, "light", personas),
    "phone-light": (PHONE, "light", nothing),
    "phone-dark": (PHONE, "dark", nothing),
    "phone-settings": (PHONE, "light", panel),
    "phone-why": (PHONE, "dark", why),
    "phone-drawer": (PHONE, "light", drawer),
    "past-light": (DESK, "light", past),
    "past-list-dark": (DESK, "dark", past_list),
    "phone-past": (PHONE, "dark", past_list),
    "editor-light": (DESK, "light", editor),
    "editor-dark": (DESK, "dark", editor),
    "card-light": (DESK, "light", card),
    "card-dark": (DESK, "dark", card),
    "lore-light": (DESK, "light", lore),
    "lore-dark": (DESK, "dark", lore),
    "phone-shelf": (PHONE, "light", shelf),
    "phone-editor": (PHONE, "dark", editor),
    "phone-card": (PHONE, "light", card),
    "phone-lore": (PHONE, "light", lore),
}


async def take(outputs: Mapping[str, Path]) -> None:
    """Start the workbench, talk, and write a picture for each view."""
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    if chromium is None:
        raise SystemExit("No Chromium was found. Install it: apt install chromium")
    with tempfile.TemporaryDirectory() as folder:
        database = await Database.open(f"sqlite+aiosqlite:///{folder}/picture.db")
        engine = PictureEngine(
            SCRIPT.strip().split("\n---\n"),
            info=ModelInfo(name="scripted replies", context_tokens=4096),
            chunk_seconds=0.02,
        )
        await engine.start()
        cast = PersonaLibrary(ROOT / "personas")
        conversations = Conversations(
            database.history, SettingsCascade(database.settings, cast), cast, Engines.only(engine)
        )
        workbench = Workbench(conversations, port=0, version="0.1.0", folder=PersonaFolder(cast))
        url = await workbench.start()
        try:
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path=chromium, args=list(ARGUMENTS)
                )
                page = await open_page(browser, url, DESK, "light")
                await talk(page)
                await page.close()
                for name, path in outputs.items():
                    size, scheme, prepare = VIEWS[name]
                    page = await open_page(browser, url, size, scheme)
                    await prepare(page)
                    await sit(page)
                    await page.screenshot(path=path)
                    await page.context.close()
                    sys.stdout.write(f"{path}\n")
                await browser.close()
        finally:
            await workbench.close()
            await conversations.close()
            await engine.close()
            await database.close()


def main() -> None:
    """Read the arguments and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "workbench.png")
    parser.add_argument("--view", choices=VIEWS, default="wide-settings-light")
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="every view, into this folder")
    arguments = parser.parse_args()
    if arguments.all:
        arguments.all.mkdir(parents=True, exist_ok=True)
        outputs = {name: arguments.all / f"{name}.png" for name in VIEWS}
    else:
        outputs = {arguments.view: arguments.out}
    asyncio.run(take(outputs))


if __name__ == "__main__":
    main()
