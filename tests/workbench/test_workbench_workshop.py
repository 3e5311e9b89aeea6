"""The persona editor, dropped cards and the lorebook tester in real headless Chromium."""

import asyncio
import base64
from pathlib import Path

import pytest
import pytest_asyncio
from browsing import CHROMIUM, OpenPage, Visit
from making_cards import as_json, card_chunk, picture_bytes, png, v2, v3
from playwright.async_api import expect
from workbench_parts import HOSTILE, StartBench

from bot.chat.personas.files import read_card_file

PHONE = {"width": 390, "height": 844}
BOOK = {
    "name": "The coast",
    "entries": {
        "0": {"uid": 0, "key": ["lantern"], "content": "It burns blue.", "comment": "Lantern"},
        "1": {"uid": 1, "key": ["wolf"], "content": HOSTILE, "comment": HOSTILE},
    },
}

DROP = """async ([name, content]) => {
  const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name));
  const overlay = document.getElementById("drop");
  for (const kind of ["dragover", "drop"]) {
    const options = { dataTransfer: data, bubbles: true, cancelable: true };
    document.body.dispatchEvent(new DragEvent(kind, options));
    if (kind === "dragover" && !overlay.matches(":popover-open")) return "no overlay";
  }
  return overlay.matches(":popover-open") ? "overlay stays" : "dropped";
}"""

DROP_ON_HEAD = """async (content) => {
  const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], "face.jpg"));
  const head = document.querySelector("#editor .head");
  const overlay = document.getElementById("drop");
  const send = (kind) => head.querySelector(".avatar").dispatchEvent(
    new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
  send("dragover");
  const isOver = head.classList.contains("over") && !overlay.matches(":popover-open");
  send("drop");
  return isOver && !head.classList.contains("over") ? "over the head alone" : "elsewhere";
}"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium was found: apt install chromium"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "personas"
    path.mkdir()
    (path / "mara.toml").write_text('name = "Mara"\ndescription = "Keeps the light."\n')
    (path / "nova.json").write_bytes(as_json(v2(name="Nova", first_mes="Hi.", extensions={"x": 1})))
    return path


@pytest_asyncio.fixture(loop_scope="module")
async def visit(start_bench: StartBench, open_page: OpenPage, folder: Path) -> Visit:
    return await open_page(await start_bench(personas_dir=folder))


async def drop(visit: Visit, name: str, content: bytes) -> None:
    said = await visit.page.evaluate(DROP, [name, base64.b64encode(content).decode()])
    assert said == "dropped"


async def edit(visit: Visit, name: str) -> None:
    await visit.button("Personas and lore").click()
    await visit.page.locator("#shelf-list button", has_text=name).click()
    await expect(visit.page.locator("#field-name")).to_have_value(name)


def refused(visit: Visit, status: int) -> None:
    """What the browser logs of a refusal was expected."""
    [fault] = visit.faults
    assert str(status) in fault
    visit.faults.clear()


async def read(path: Path) -> object:
    return await asyncio.to_thread(read_card_file, path)


async def test_an_edit_costs_are_counted_while_it_is_written_and_it_is_saved(
    visit: Visit, folder: Path
) -> None:
    await edit(visit, "Nova")
    page = visit.page
    count = page.locator('[data-count="description"]')
    await expect(count).to_have_text("")
    await page.locator("#field-description").fill("one two three four")
    await expect(count).to_contain_text("token")
    await expect(page.locator(".gauge strong")).to_contain_text(await count.inner_text())
    await expect(page.locator(".save .state")).to_have_text("Not saved yet")
    await page.keyboard.press("Control+s")
    await expect(page.locator(".save .state")).to_have_text("Saved")
    await expect(page.locator("#field-description")).to_be_focused()
    card = await read(folder / "nova.json")
    assert card.document == v2(  # type: ignore[attr-defined]
        name="Nova", first_mes="Hi.", extensions={"x": 1}, description="one two three four"
    )


async def test_greetings_and_lists_are_edited(visit: Visit, folder: Path) -> None:
    await edit(visit, "Nova")
    page = visit.page
    await page.locator("#field-alternate_greetings").click()
    await page.get_by_label("Greeting 2").first.fill("Ho.")
    await page.get_by_text("About the card").click()
    await page.locator("#field-tags").fill("sea,  storm ,")
    await visit.button("Save").click()
    await expect(page.locator(".save .state")).to_have_text("Saved")
    persona = (await read(folder / "nova.json")).persona  # type: ignore[attr-defined]
    assert persona.alternate_greetings == ("Ho.",)
    assert persona.tags == ("sea", "storm")


async def test_a_picture_is_chosen_dropped_and_removed_and_nothing_typed_is_lost(
    visit: Visit, folder: Path
) -> None:
    await edit(visit, "Nova")
    page, state = visit.page, visit.page.locator(".save .state")
    picture = page.locator(".head .avatar img.shown")
    await page.locator("#field-scenario").fill("Fog.")
    async with page.expect_file_chooser() as chosen:
        await visit.button("Choose a picture").click()
    await (await chosen.value).set_files(
        {"name": "n.png", "mimeType": "image/png", "buffer": picture_bytes((60, 80))}
    )
    await expect(state).to_contain_text("kept as nova.json.original")
    await expect(picture).to_have_js_property("naturalWidth", 60)
    await expect(page.locator("#shelf-list [aria-current] img.shown")).to_have_count(1)
    content = base64.b64encode(picture_bytes((30, 20), "JPEG")).decode()
    assert await page.evaluate(DROP_ON_HEAD, content) == "over the head alone"
    await expect(picture).to_have_js_property("naturalWidth", 30)
    await expect(page.locator("#field-scenario")).to_have_value("Fog.")
    await visit.button("Save").click()
    await expect(state).to_have_text("Saved")
    card = await read(folder / "nova.png")
    assert card.persona.scenario == "Fog."  # type: ignore[attr-defined]
    await visit.button("Remove the picture").click()
    await visit.button("Remove it").click()
    await expect(visit.button("Choose a picture")).to_be_visible()
    await expect(picture).to_have_count(0)


async def test_a_new_persona_is_made_and_talked_with(visit: Visit, folder: Path) -> None:
    await visit.button("Personas and lore").click()
    await visit.button("New").click()
    await visit.page.locator("#field-name").fill("Mara")
    await visit.button("Make it").click()
    await expect(visit.page.locator(".save .error")).to_contain_text("«Mara (2)»")
    refused(visit, 409)
    await visit.page.locator("#field-name").fill("Zoe")
    await visit.button("Make it").click()
    await expect(visit.page.locator(".save .state")).to_have_text("Saved")
    await expect(visit.page.locator("#shelf-list [aria-current]")).to_contain_text("Zoe")
    assert (await read(folder / "Zoe.toml")).persona.name == "Zoe"  # type: ignore[attr-defined]


async def test_a_persona_is_deleted_and_the_undo_brings_it_back(visit: Visit) -> None:
    await edit(visit, "Nova")
    await visit.button("Delete Nova").click()
    await visit.page.locator("#confirm-yes").click()
    nova = visit.page.locator("#shelf-list button", has_text="Nova")
    await expect(nova).to_have_count(0)
    await visit.button("Undo").click()
    await expect(nova).to_have_count(1)
    await expect(visit.page.locator("#field-name")).to_have_value("Nova")


async def test_what_is_not_saved_is_not_lost_by_closing(visit: Visit) -> None:
    await edit(visit, "Nova")
    await visit.page.locator("#field-scenario").fill("Fog.")
    await visit.page.keyboard.press("Escape")
    await expect(visit.page.locator("#confirm")).to_contain_text("«Nova»")
    await visit.button("Keep it").click()
    await expect(visit.page.locator("#field-scenario")).to_have_value("Fog.")
    await visit.button("Close personas and lore").click()
    await visit.button("Throw it away").click()
    await expect(visit.page.locator("#workshop")).to_be_hidden()


async def test_a_file_changed_elsewhere_is_not_written_over(visit: Visit, folder: Path) -> None:
    await edit(visit, "Nova")
    changed = as_json(v2(name="Nova", first_mes="Hello."))
    await asyncio.to_thread((folder / "nova.json").write_bytes, changed)
    await visit.page.locator("#field-scenario").fill("Fog.")
    await visit.button("Save").click()
    await expect(visit.page.locator(".save .error")).to_contain_text("has been changed since")
    refused(visit, 409)
    assert await asyncio.to_thread((folder / "nova.json").read_bytes) == changed


async def test_a_dropped_card_is_shown_and_taken(visit: Visit, folder: Path) -> None:
    content = png(card_chunk("ccv3", v3(
        name="Tia", description="d " * 50, first_mes="Hi.", alternate_greetings=["Ho."],
        creator_notes="See ![banner](http://127.0.0.1:1/x.png)", tags=["sea"],
        character_book={"entries": [{"keys": ["k"], "content": "lore"}]},
        extensions={"regex_scripts": [1]},
    )), picture=picture_bytes((60, 80)))  # fmt: skip
    await drop(visit, "tia.png", content)
    card = visit.page.locator("#card")
    for part in ("Tia", "2 greetings · 1 lore entry", "sea", "![banner]", "Its scripts", "always"):
        await expect(card).to_contain_text(part)
    picture = card.locator(".card-picture")
    await expect(picture).to_be_visible()
    await expect(picture).to_have_js_property("naturalWidth", 60)
    await visit.button("Import").click()
    await expect(visit.page.locator(".toast")).to_contain_text("«Tia» is in the folder now.")
    assert await asyncio.to_thread((folder / "Tia.png").read_bytes) == content


async def test_a_taken_name_is_chosen_anew_or_replaced(visit: Visit, folder: Path) -> None:
    content = as_json(v2(name="Nova", description="other"))
    await drop(visit, "x.json", content)
    name = visit.page.locator("#card-name")
    await expect(name).to_have_value("Nova (2)")
    await visit.button("Import").click()
    await expect(visit.page.locator("#card")).to_be_hidden()
    assert (await read(folder / "Nova (2).json")).persona.description == "other"  # type: ignore[attr-defined]
    await drop(visit, "x.json", content)
    await visit.page.get_by_text("Put it in the place of «Nova»").click()
    await expect(name).to_be_disabled()
    await visit.button("Import").click()
    await expect(visit.page.locator("#card")).to_be_hidden()
    assert await asyncio.to_thread((folder / "nova.json").read_bytes) == content


async def test_what_is_no_card_is_said_and_the_next_file_goes_on(visit: Visit) -> None:
    await drop(visit, "x.png", picture_bytes())
    await expect(visit.page.locator(".toast")).to_contain_text("without a card")
    refused(visit, 400)
    await drop(visit, "y.json", as_json(v2(name="Yam")))
    await expect(visit.page.locator("#card")).to_contain_text("Yam")
    await visit.button("Leave it").click()
    await expect(visit.page.locator("#card")).to_be_hidden()


async def test_a_hostile_card_does_nothing(visit: Visit) -> None:
    hostile = v3(
        name=HOSTILE[:80], nickname=HOSTILE[:70], description=HOSTILE, first_mes=HOSTILE,
        creator_notes=HOSTILE, creator=HOSTILE, tags=[HOSTILE], alternate_greetings=[HOSTILE],
        character_book={"entries": [{"keys": [HOSTILE], "content": HOSTILE, "name": HOSTILE}]},
    )  # fmt: skip
    await drop(visit, HOSTILE.replace("/", ""), as_json(hostile))
    await expect(visit.page.locator("#card-body")).to_contain_text("<script>")
    assert await visit.page.locator("#card-body script, #card-body img").count() == 0
    await visit.button("Import").click()
    await visit.button("Personas and lore").click()
    await visit.page.locator("#shelf-list button", has_text="<img").click()
    await expect(visit.page.locator("#field-description")).to_have_value(HOSTILE)
    await visit.page.get_by_text("Lorebook 1 entry").click()
    await visit.button("Try it in the tester").click()
    await visit.page.locator("#lore-chat").fill(f"Ines: {HOSTILE}")
    await expect(visit.page.locator(".results")).to_contain_text("<img")
    assert await visit.page.evaluate("window.hurt") is None


async def test_a_persona_is_saved_as_a_file(visit: Visit) -> None:
    await edit(visit, "Nova")
    async with visit.page.expect_download() as begun:
        await visit.page.get_by_role("link", name="Export as CHARX").click()
    download = await begun.value
    assert download.suggested_filename == "Nova.charx"
    assert (await read(Path(await download.path()))).persona.greeting == "Hi."  # type: ignore[attr-defined]


async def test_a_dropped_lorebook_is_tried_on_a_chat(visit: Visit) -> None:
    await drop(visit, "coast.json", as_json(BOOK))
    await expect(visit.page.locator("#tab-lore")).to_have_attribute("aria-selected", "true")
    await expect(visit.page.locator(".books")).to_contain_text("The coast")
    await visit.page.locator("#lore-chat").fill("Ines: Is the lantern lit?")
    fires = visit.page.locator(".entries .fires")
    await expect(fires).to_contain_text("lantern in message 1")
    await expect(fires).to_contain_text("The coast")
    await expect(visit.page.locator(".entries .silent")).to_contain_text("none of its keys")
    await visit.page.locator("#lore-chat").fill("Ines: A wolf!")
    await expect(fires).to_contain_text("wolf in message 1")
    assert await visit.page.evaluate("window.hurt") is None


async def test_it_all_works_by_keyboard(visit: Visit) -> None:
    page = visit.page
    await visit.button("Personas and lore").focus()
    await page.keyboard.press("Enter")
    await page.locator("#tab-personas").focus()
    await page.keyboard.press("ArrowRight")
    await expect(page.locator("#pane-lore")).to_be_visible()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Escape")
    await expect(page.locator("#workshop")).to_be_hidden()
    await expect(visit.button("Personas and lore")).to_be_focused()


async def test_every_control_has_a_name_and_one_alone(visit: Visit) -> None:
    await edit(visit, "Nova")
    await visit.button("Add a greeting").first.click()
    for _ in range(2):
        found = await visit.page.evaluate(
            """() => {
              const controls = "button, input, textarea, select, a[href]";
              const nodes = [...document.querySelectorAll("#workshop *")];
              const ids = nodes.map((node) => node.id).filter(Boolean);
              return [...nodes.filter((node) => node.matches(controls) && !(node.ariaLabel
                  || node.labels?.length || node.textContent.trim())).map((node) => node.outerHTML),
                ...ids.filter((id, at) => ids.indexOf(id) !== at)];
            }"""
        )
        assert found == []
        await visit.page.locator("#tab-lore").click()


async def test_on_a_phone_the_list_and_the_editor_take_turns(
    start_bench: StartBench, open_page: OpenPage, folder: Path
) -> None:
    bench = await start_bench(personas_dir=folder)
    visit = await open_page(bench, viewport=PHONE, has_touch=True, is_mobile=True)
    await visit.button("Chats and preferences").click()
    await visit.button("Personas and lore").click()
    await visit.page.locator("#shelf-list button", has_text="Nova").click()
    await expect(visit.page.locator("#field-name")).to_have_value("Nova")
    await expect(visit.page.locator(".shelf")).to_be_hidden()
    width = await visit.page.evaluate("document.getElementById('editor').scrollWidth")
    assert width <= PHONE["width"]
    beside = await visit.page.evaluate(
        """() => [...document.querySelectorAll(".head > button")].slice(1)
          .map((button) => button.getBoundingClientRect())
          .map((box) => Math.round(box.y + box.height / 2))"""
    )
    assert beside[0] == beside[1]  # «Delete» is in one line with «Talk»
    await visit.button("Back to the list").click()
    await expect(visit.page.locator("#shelf-list")).to_be_visible()
    await visit.page.keyboard.press("Escape")  # what is in front goes first
    await expect(visit.page.locator("#workshop")).to_be_hidden()
    await expect(visit.page.locator("#scrim")).to_be_visible()
    await visit.page.keyboard.press("Escape")
    await expect(visit.page.locator("#scrim")).to_be_hidden()


async def test_without_a_folder_nothing_is_offered(
    start_bench: StartBench, open_page: OpenPage
) -> None:
    visit = await open_page(await start_bench())
    await expect(visit.page.locator("#open-workshop")).to_be_hidden()
