"""The page in real headless Chromium."""

import asyncio

import pytest
from browsing import CHROMIUM, OpenPage, Visit
from playwright.async_api import expect
from workbench_parts import HOSTILE, Bench, StartBench

from bot.chat.messages import ChannelKey, Scope
from bot.engine.api import ModelInfo
from bot.engine.fake import FakeEngine
from bot.engine.models.embedded import NAME
from bot.errors import EngineFailed

PHONE = {"width": 390, "height": 844}
LONG = "One two three four five six seven eight nine ten eleven twelve thirteen."

DRAW = """async (text) => {
  const { render } = await import("/static/markdown.js");
  const box = document.createElement("div");
  box.append(render(text));
  return box.innerHTML.replace(/\\n(?=<|$)/g, "");
}"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium was found: apt install chromium"),
]


async def held(start: StartBench) -> tuple[Bench, asyncio.Semaphore]:
    gate = asyncio.Semaphore(0)
    return await start(FakeEngine([LONG, "Second."], gate=gate, chunk_characters=10)), gate


async def test_a_new_chat_begins_with_the_personas_greeting_and_its_alternates(
    start_bench: StartBench, open_page: OpenPage
) -> None:
    bench = await start_bench()
    texts = {"greeting": "Come in, {{user}}.", "alternate_greetings": ("Mind the step.",)}
    bench.cast.personas[0] = bench.cast.personas[0].model_copy(update=texts)
    visit = await open_page(bench)
    await expect(visit.replies).to_have_text("Come in, Guest.")
    await expect(visit.page.locator("#greeting")).to_be_hidden()
    await visit.page.locator("#turns [data-action=forth]").click()
    await expect(visit.replies).to_have_text("Mind the step.")
    await visit.say("Hello")
    await expect(visit.replies.nth(1)).to_contain_text("The first reply")
    await visit.idle()
    await visit.page.reload()
    await expect(visit.replies).to_have_count(2)
    await expect(visit.replies.first).to_have_text("Mind the step.")


async def test_the_first_visit(visit: Visit) -> None:
    await expect(visit.page.locator("#greeting")).to_contain_text("Mara is listening.")
    await expect(visit.field).to_be_focused()
    await expect(visit.page.locator("#engine")).to_contain_text("fake")
    await expect(visit.page.locator("#toy")).to_be_hidden()
    assert await visit.page.title() == "Mara · Caduceus"


async def test_the_embedded_model_is_said_to_be_a_toy(
    start_bench: StartBench, open_page: OpenPage
) -> None:
    embedded = ModelInfo(name=NAME, context_tokens=2048)
    visit = await open_page(await start_bench(FakeEngine(["Hm."], info=embedded)))
    toy = visit.page.locator("#toy")
    await expect(toy).to_contain_text("a toy for trying out")
    await expect(toy.locator("code")).to_contain_text("model suggest")


async def test_talking(visit: Visit) -> None:
    await visit.say("Hello")
    await expect(visit.page.locator(".turn.user .text")).to_have_text("Hello")
    await expect(visit.replies).to_have_text("The first reply, with bold words.")
    await expect(visit.replies.locator("strong")).to_have_text("bold")
    await expect(visit.field).to_have_value("")
    await expect(visit.field).to_be_focused()
    await expect(visit.page.locator("#announcer")).to_have_text(
        "Mara: The first reply, with **bold** words."
    )


async def test_a_reply_streams_and_a_reload_goes_on(
    start_bench: StartBench, open_page: OpenPage
) -> None:
    bench, gate = await held(start_bench)
    visit = await open_page(bench)
    await visit.say("Hello")
    await expect(visit.page.locator(".typing")).to_be_visible()
    gate.release()
    await expect(visit.replies).to_contain_text("One two")
    assert await visit.page.locator("#announcer").inner_text() == "Mara is writing."
    await visit.page.reload()
    await expect(visit.replies).to_contain_text("One two")
    await expect(visit.button("Stop the reply")).to_be_visible()
    for _ in range(20):
        gate.release()
    await expect(visit.replies).to_have_text(LONG)
    await visit.idle()


@pytest.mark.parametrize("by", ["button", "escape"])
async def test_stopping(start_bench: StartBench, open_page: OpenPage, by: str) -> None:
    bench, gate = await held(start_bench)
    visit = await open_page(bench)
    await visit.say("Hello")
    gate.release()
    await expect(visit.replies).to_contain_text("One two")
    if by == "button":
        await visit.button("Stop the reply").click()
    else:
        await visit.page.keyboard.press("Escape")
    await visit.idle()
    await expect(visit.page.locator("#turns .turn.bot")).to_contain_text("stopped here")
    assert len(bench.engine.cancelled) == 1
    assert "thirteen" not in await visit.replies.inner_text()


async def test_regenerating_and_swiping(visit: Visit) -> None:
    await visit.say("Hello")
    await expect(visit.replies).to_contain_text("The first reply")
    await visit.button("Write another reply").click()
    await expect(visit.replies).to_have_text("Another one, quite different.")
    await expect(visit.page.get_by_label("Reply 2 of 2")).to_be_visible()
    await visit.button("Previous reply").click()
    await expect(visit.replies).to_contain_text("The first reply")
    await expect(visit.page.get_by_label("Reply 1 of 2")).to_be_visible()
    await expect(visit.button("Previous reply")).to_be_focused()
    await visit.button("Next reply").click()
    await expect(visit.replies).to_have_text("Another one, quite different.")


async def test_going_on(visit: Visit) -> None:
    await visit.say("Hello")
    await visit.button("Let it go on").click()
    await expect(visit.replies).to_contain_text("Another one, quite different.")
    await expect(visit.replies).to_contain_text("The first reply")


async def test_a_reply_that_reached_its_limit_says_so_until_it_goes_on(
    start_bench: StartBench, open_page: OpenPage
) -> None:
    ash, oak = (" ".join(f"{name}{n}" for n in range(40)) for name in ("ash", "oak"))
    bench = await start_bench(FakeEngine([ash, "and so it ends.", oak, "That is all."]))
    chat = ChannelKey("workbench", "1", is_direct=True)
    settings = bench.conversations.settings
    await settings.set(chat, Scope.CHANNEL, "max_reply_tokens", "16", by="person")
    visit = await open_page(bench)
    mark = visit.page.locator("#turns .turn.bot .cut-mark")
    await visit.say("Hello")
    await expect(mark).to_have_text("cut at the length limit: «Let it go on» writes the rest")
    await expect(visit.page.locator("#announcer")).to_contain_text("Cut at the length limit.")
    await visit.page.reload()
    await expect(mark).to_have_text("cut at the length limit: «Let it go on» writes the rest")
    await visit.button("Let it go on").click()
    await expect(visit.replies).to_contain_text("and so it ends.")
    await expect(mark).to_have_count(0)
    await visit.say("Again")
    await expect(mark).to_have_count(1)
    await visit.say("More")  # the button stands with the newest reply alone
    await expect(visit.replies).to_have_count(3)
    await expect(mark).to_have_text("cut at the length limit")


async def test_editing_both_sides(bench: Bench, visit: Visit) -> None:
    await visit.say("My cat is black")
    await expect(visit.replies).to_contain_text("The first reply")
    await visit.idle()
    mine = visit.page.locator(".turn.user")
    await mine.hover()
    await mine.get_by_role("button", name="Edit").click()
    await visit.page.get_by_label("Text of the message of Guest").fill("My cat is white")
    await visit.button("Save").click()
    await expect(mine.locator(".text")).to_have_text("My cat is white")
    await expect(mine.get_by_role("button", name="Edit")).to_be_focused()
    theirs = visit.page.locator("#turns .turn.bot")
    await theirs.get_by_role("button", name="Edit").click()
    editor = visit.page.get_by_label("Text of the message of Mara")
    await editor.fill("Nothing")
    await editor.press("Escape")
    await expect(visit.replies).to_contain_text("The first reply")
    await theirs.get_by_role("button", name="Edit").click()
    await editor.fill("How lovely.")
    await editor.press("Control+Enter")
    await expect(visit.replies).to_have_text("How lovely.")
    await visit.say("And now?")
    await expect(visit.replies).to_have_count(2)
    await visit.idle()
    assert "My cat is white" in bench.engine.requests[1].prompt
    assert "How lovely." in bench.engine.requests[1].prompt


async def test_deleting_asks_first(bench: Bench, visit: Visit) -> None:
    await visit.say("Hello")
    await expect(visit.replies).to_contain_text("The first reply")
    await visit.idle()
    reply = visit.page.locator("#turns .turn.bot")
    await reply.get_by_role("button", name="Delete").click()
    await visit.button("Keep it").click()
    await expect(reply).to_have_count(1)
    await reply.get_by_role("button", name="Delete").click()
    await visit.page.locator("#confirm").get_by_role("button", name="Delete").click()
    await expect(reply).to_have_count(0)
    await visit.button("Answer it").click()
    await expect(visit.replies).to_have_text("Another one, quite different.")


async def test_choosing_a_persona(bench: Bench, visit: Visit) -> None:
    await visit.page.get_by_role("button", name="Choose a persona").click()
    await visit.page.locator("#persona-list").get_by_role("button", name="Tobias").click()
    await expect(visit.page.locator("#bar-name")).to_have_text("Tobias")
    await expect(visit.page.locator("#greeting")).to_contain_text("Tobias is listening.")
    await visit.say("Hello")
    await expect(visit.page.locator("#turns .turn.bot .who")).to_have_text("Tobias")
    bench.cast.personas[1] = bench.cast.personas[1].model_copy(update={"name": "Old Tobias"})
    await visit.page.locator("#open-personas").click()
    chosen = visit.page.locator("#persona-list [aria-pressed=true]")
    await expect(chosen).to_contain_text("Old Tobias")
    await visit.page.keyboard.press("Escape")
    await visit.button("Why this reply?").click()
    dialog = visit.page.get_by_role("dialog", name="Why this reply?")
    await expect(dialog).to_contain_text("Old Tobias has been edited since: this is the prompt")


async def test_sampling_takes_effect_in_the_next_request(bench: Bench, visit: Visit) -> None:
    await visit.button("Settings of this chat").click()
    temperature = visit.page.get_by_label("Temperature", exact=True)
    await temperature.fill("1.25")
    await temperature.press("Enter")
    await expect(visit.page.locator('[data-key="temperature"] .origin')).to_contain_text("set")
    await expect(visit.page.get_by_label("Retention days, slider")).to_have_count(0)
    slider = visit.page.get_by_label("Repetition penalty, slider")
    await slider.focus()
    await slider.press("ArrowRight")
    await expect(visit.page.get_by_label("Repetition penalty", exact=True)).to_have_value("1.2")
    await visit.page.get_by_label("Instructions", exact=True).fill("Speak in rhymes.")
    await visit.page.get_by_label("Instructions", exact=True).blur()
    await expect(visit.page.locator('[data-key="instructions"] .origin')).to_contain_text("set")
    await visit.button("Close the settings").click()
    await visit.say("Hello")
    await expect(visit.replies).to_contain_text("The first reply")
    request = bench.engine.requests[0]
    assert (request.sampling.temperature, request.sampling.repetition_penalty) == (1.25, 1.2)
    assert "Speak in rhymes." in request.prompt


async def test_a_value_out_of_range_is_said_to_be_one(bench: Bench, open_page: OpenPage) -> None:
    visit = await open_page(bench)
    await visit.button("Settings of this chat").click()
    temperature = visit.page.get_by_label("Temperature", exact=True)
    await temperature.fill("9")
    await temperature.press("Enter")
    control = visit.page.locator('[data-key="temperature"]')
    said = "«9» is not valid for temperature. It takes 0 to 2."
    await expect(control.get_by_role("alert")).to_have_text(said)
    await expect(control.locator("code")).to_have_text("temperature")
    await expect(temperature).to_have_attribute("aria-invalid", "true")
    await temperature.fill("1")
    await temperature.press("Enter")
    await visit.page.get_by_role("button", name="Reset Temperature to its default").click()
    await expect(temperature).to_have_value("0.7")
    # the browser itself logs the refused call
    assert all("400 (Bad Request)" in fault for fault in visit.faults)
    visit.faults.clear()


async def test_why_this_reply(bench: Bench, visit: Visit) -> None:
    await visit.say("Hello")
    await expect(visit.replies).to_contain_text("The first reply")
    await visit.button("Why this reply?").click()
    dialog = visit.page.get_by_role("dialog", name="Why this reply?")
    await expect(dialog.locator(".tiles")).to_contain_text("tokens a second")
    await expect(dialog.locator(".tiles")).to_contain_text("to the first token")
    await expect(dialog.locator(".tiles")).not_to_contain_text("reused")  # nobody counted them
    await expect(dialog).to_contain_text("Nothing: all of it fitted.")
    await expect(dialog.locator("summary").first).to_contain_text("tokens")
    await dialog.get_by_text("The exact prompt").click()
    shown = await dialog.get_by_label("The exact prompt").inner_text()
    assert shown.strip() == bench.engine.requests[0].prompt.strip()
    await visit.page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(visit.button("Why this reply?")).to_be_focused()


async def test_the_keyboard_alone_will_do(visit: Visit) -> None:
    keyboard = visit.page.keyboard

    async def tab_to(name: str) -> None:
        for _ in range(40):
            await keyboard.press("Shift+Tab")
            focused = visit.page.locator(":focus")
            if await focused.count() and name in (await focused.get_attribute("aria-label") or ""):
                return
        raise AssertionError(f"Shift+Tab never comes to «{name}»")

    await keyboard.type("First line")
    await keyboard.press("Shift+Enter")
    await keyboard.type("second line")
    await keyboard.press("Enter")
    await expect(visit.replies).to_contain_text("The first reply")
    await expect(visit.page.locator(".turn.user .text")).to_have_text("First line\nsecond line")
    await visit.idle()
    await tab_to("Write another reply")
    await keyboard.press("Enter")
    await expect(visit.replies).to_contain_text("Another one")
    await visit.idle()
    await tab_to("Previous reply")
    await keyboard.press("Space")
    await expect(visit.replies).to_contain_text("The first reply")
    await tab_to("Settings of this chat")
    await keyboard.press("Enter")
    await expect(visit.page.locator("#settings")).to_be_visible()
    await keyboard.press("Escape")
    await expect(visit.page.locator("#settings")).to_be_hidden()
    await visit.field.focus()
    await keyboard.press("ArrowUp")
    await expect(visit.page.get_by_label("Text of the message of Guest")).to_be_focused()


async def test_every_control_has_a_name(visit: Visit) -> None:
    await visit.say("Hello")
    await visit.button("Write another reply").click()
    await expect(visit.page.get_by_label("Reply 2 of 2")).to_be_visible()
    await visit.button("Settings of this chat").click()
    await expect(visit.page.locator(".control").first).to_be_visible()
    nameless = await visit.page.evaluate(
        """() => [...document.querySelectorAll("button, input, textarea, select, a[href], dialog")]
          .filter((node) => !(node.ariaLabel || node.getAttribute("aria-labelledby")
            || node.labels?.length || node.textContent.trim()))
          .map((node) => node.outerHTML)"""
    )
    assert nameless == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_phone_has_no_sideways_scrolling(
    bench: Bench, open_page: OpenPage, scheme: str
) -> None:
    visit = await open_page(bench, viewport=PHONE, has_touch=True, color_scheme=scheme)

    async def fits() -> None:
        wide = await visit.page.evaluate(
            """() => [...document.querySelectorAll("html, main, #scroll, dialog[open]")]
              .filter((node) => node.scrollWidth > node.clientWidth)
              .map((node) => node.id || node.tagName)"""
        )
        assert wide == []

    await visit.say("A_word_that_never_ends" * 30 + "\n```\n" + "code " * 80 + "\n```")
    await expect(visit.replies).to_contain_text("The first reply")
    await fits()
    await visit.button("Chats and preferences").click()
    await expect(visit.page.get_by_label("Your name")).to_be_visible()
    await expect(visit.page.locator("main")).to_have_attribute("inert", "")
    await fits()
    await visit.page.keyboard.press("Escape")
    await expect(visit.page.get_by_label("Your name")).to_be_hidden()
    await visit.button("Settings of this chat").tap()
    await expect(visit.page.locator(".control").first).to_be_visible()
    await fits()
    await visit.button("Close the settings").tap()
    await visit.button("Why this reply?").tap()
    await expect(visit.page.locator(".tiles")).to_be_visible()
    await fits()


async def test_both_colour_schemes_and_the_choice_between_them(
    bench: Bench, open_page: OpenPage
) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        visit = await open_page(bench, color_scheme=scheme)
        ground = "getComputedStyle(document.body).backgroundColor"
        grounds.append(await visit.page.evaluate(ground))
    assert grounds[0] != grounds[1]
    await visit.page.get_by_label("Light").check()
    assert await visit.page.evaluate(ground) == grounds[0]
    await visit.page.reload()
    await expect(visit.page.get_by_label("Light")).to_be_checked()
    assert await visit.page.evaluate(ground) == grounds[0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_stands_out_from_its_ground(
    bench: Bench, open_page: OpenPage, scheme: str
) -> None:
    visit = await open_page(bench, color_scheme=scheme)
    ratios = await visit.page.evaluate(
        """() => {
          const canvas = document.createElement("canvas");
          const probe = canvas.getContext("2d", { willReadFrequently: true });
          const body = document.createElement("i");
          document.body.append(body);
          const light = (name) => {
            body.style.color = `var(--${name})`;
            probe.fillStyle = getComputedStyle(body).color;
            probe.fillRect(0, 0, 1, 1);
            const [r, g, b] = [...probe.getImageData(0, 0, 1, 1).data].map((v) => v / 255)
              .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const pairs = [["ink", "ground"], ["soft", "ground"], ["soft", "sunken"],
            ["soft", "raised"], ["ink", "mine"], ["on-accent", "accent"],
            ["warn-ink", "warn-ground"], ["danger", "ground"]];
          return Object.fromEntries(pairs.map(([one, other]) => {
            const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
            return [`${one} on ${other}`, (high + 0.05) / (low + 0.05)];
          }));
        }"""
    )
    assert {pair: ratio for pair, ratio in ratios.items() if ratio < 4.5} == {}


async def test_hostile_text_stays_text(start_bench: StartBench, open_page: OpenPage) -> None:
    bench = await start_bench(FakeEngine([HOSTILE + "\n\n```html\n" + HOSTILE + "\n```"]))
    visit = await open_page(bench)
    name = visit.page.get_by_label("Your name")
    await name.fill(HOSTILE[:80])
    await name.press("Enter")
    await visit.page.get_by_role("button", name="Choose a persona").click()
    await visit.page.locator("#persona-list button", has_text="<img").click()
    await expect(visit.page.locator("#bar-name")).to_have_text(HOSTILE[:80])
    await expect(visit.replies).to_have_text(HOSTILE)  # its greeting
    await visit.say(HOSTILE)
    await expect(visit.page.locator(".turn.user .text")).to_have_text(HOSTILE)
    await expect(visit.replies.nth(1)).to_contain_text(HOSTILE)
    await visit.idle()
    await visit.button("Why this reply?").last.click()
    await expect(visit.page.locator(".tiles")).to_be_visible()
    await visit.page.reload()
    await expect(visit.replies.nth(1)).to_contain_text(HOSTILE)
    assert await visit.page.evaluate("window.hurt") is None
    assert await visit.page.locator("img[src=x], #turns script, #greeting script").count() == 0


async def test_no_inline_script_would_run(visit: Visit) -> None:
    await visit.page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.hurt = 'yes'";
          document.body.append(script);
        }"""
    )
    assert await visit.page.evaluate("window.hurt") is None
    assert any("Content Security Policy" in fault for fault in visit.faults)
    visit.faults.clear()


async def test_a_model_that_is_being_prepared(start_bench: StartBench, open_page: OpenPage) -> None:
    bench = await start_bench(started=False)
    visit = await open_page(bench)
    await expect(visit.page.locator("#banner")).to_contain_text("The model is being prepared")
    await visit.say("Hello")
    await expect(visit.page.locator("#waiting")).to_contain_text("as soon as the model is ready")
    await expect(visit.page.locator("#note")).to_be_empty()
    await bench.engine.start()
    await expect(visit.replies).to_contain_text("The first reply")
    await expect(visit.page.locator("#banner")).to_be_hidden()


async def test_the_page_shows_that_the_fallback_answers(
    start_bench: StartBench, open_page: OpenPage
) -> None:
    second = FakeEngine(["The second one's reply."])
    await second.start()
    bench = await start_bench(started=False, fallback=second)
    visit = await open_page(bench)
    await expect(visit.page.locator("#engine")).to_contain_text("Fallback")
    await expect(visit.page.locator("#banner")).to_be_hidden()
    await visit.say("Hello")
    await expect(visit.replies).to_have_text("The second one's reply.")
    await bench.engine.start()
    await expect(visit.page.locator("#engine")).not_to_contain_text("Fallback")
    title = await visit.page.locator("#engine").get_attribute("title")
    assert "fallback:fake (fake) is ready." in (title or "")


async def test_a_failure_is_a_line_with_a_way_on(
    start_bench: StartBench, open_page: OpenPage
) -> None:
    engine = FakeEngine([EngineFailed("Out of memory.", "Lower the reply length."), "Better."])
    visit = await open_page(await start_bench(engine))
    await visit.say("Hello")
    note = visit.page.locator("#note")
    await expect(note).not_to_be_empty()
    await visit.page.reload()
    await expect(note).not_to_be_empty()
    await visit.button("Try again").click()
    await expect(visit.replies).to_have_text("Better.")
    await expect(note).to_be_empty()


async def test_a_chat_is_known_by_its_newest_words(visit: Visit) -> None:
    await visit.say("Hello")
    await expect(visit.replies).to_contain_text("The first reply")
    await visit.idle()
    await visit.button("Edit").last.click()
    editor = visit.page.get_by_label("Text of the message of Mara")
    await editor.fill("**Call** _the_ function `add_two(x)`.")
    await editor.press("Control+Enter")
    snippet = visit.page.locator('#chats [data-chat="1"] small')
    await expect(snippet).to_have_text("Call the function add_two(x).")


async def test_several_chats(visit: Visit) -> None:
    await visit.say("In the first")
    await expect(visit.replies).to_contain_text("The first reply")
    await visit.button("New chat").click()
    await expect(visit.page.locator("#turns .turn")).to_have_count(0)
    await visit.say("In the second")
    await expect(visit.replies).to_contain_text("Another one")
    await visit.idle()
    await visit.page.locator('#chats [data-chat="1"]').click()
    await expect(visit.page.locator(".turn.user .text")).to_have_text("In the first")
    await visit.page.go_back()
    await expect(visit.page.locator(".turn.user .text")).to_have_text("In the second")
    await visit.page.reload()
    await expect(visit.page.locator(".turn.user .text")).to_have_text("In the second")


async def test_a_new_conversation_and_back(visit: Visit) -> None:
    await visit.say("Hello")
    await expect(visit.replies).to_contain_text("The first reply")
    await visit.idle()
    await visit.button("More").click()
    await visit.page.get_by_role("button", name="New conversation").click()
    await expect(visit.page.locator("#turns .turn")).to_have_count(0)
    await visit.button("Undo").click()
    await expect(visit.replies).to_contain_text("The first reply")


async def test_two_pages_see_the_same(bench: Bench, open_page: OpenPage) -> None:
    one, other = await open_page(bench), await open_page(bench)
    await one.say("Hello")
    await expect(other.replies).to_contain_text("The first reply")
    await other.idle()
    await other.button("Write another reply").click()
    await expect(one.replies).to_have_text("Another one, quite different.")


LINK = '<a href="https://a.example/" target="_blank" rel="noopener noreferrer">x</a>'
MARKDOWN = {
    "*a* **b** ~~c~~": "<p><em>a</em> <strong>b</strong> <s>c</s></p>",
    "***a*** `b*c*`": "<p><em><strong>a</strong></em> <code>b*c*</code></p>",
    "**a *b* c**": "<p><strong>a <em>b</em> c</strong></p>",
    "snake_case_name and 2 * 3 * 4": "<p>snake_case_name and 2 * 3 * 4</p>",
    "- one\n- *two*": "<ul><li>one</li><li><em>two</em></li></ul>",
    "3. three\n4. four": '<ol start="3"><li>three</li><li>four</li></ol>',
    "# Head\ntext": '<p class="heading">Head</p><p>text</p>',
    "> quoted\n\nnot": "<blockquote><p>quoted</p></blockquote><p>not</p>",
    "a\nb\n\nc": "<p>a<br>\nb</p><p>c</p>",
    "**open": "<p>**open</p>",
    "*a **b*": "<p>*a *<em>b</em></p>",
    "`open": "<p>`open</p>",
    "<b>&amp;</b>": "<p>&lt;b&gt;&amp;amp;&lt;/b&gt;</p>",
    "[x](https://a.example/)": f"<p>{LINK}</p>",
    "![x](https://a.example/)": f"<p>!{LINK}</p>",
    "    four spaces": "<p>four spaces</p>",
    "[x](javascript:alert(1))": "<p>[x](javascript:alert(1))</p>",
    "": "",
}


async def test_what_is_being_typed_stays_when_settings_change_elsewhere(
    bench: Bench, open_page: OpenPage
) -> None:
    one, other = await open_page(bench), await open_page(bench)
    for visit in (one, other):
        await visit.button("Settings of this chat").click()
    words = one.page.get_by_label("Instructions", exact=True)
    await words.focus()
    await one.page.keyboard.type("Half a sen")
    temperature = other.page.get_by_label("Temperature", exact=True)
    await temperature.fill("1.5")
    await temperature.press("Enter")
    await expect(one.page.get_by_label("Temperature", exact=True)).to_have_value("1.5")
    await expect(words).to_have_value("Half a sen")
    await expect(words).to_be_focused()


async def test_markdown_is_drawn_and_never_trusted(visit: Visit) -> None:
    drawn = {text: await visit.page.evaluate(DRAW, text) for text in MARKDOWN}
    assert drawn == MARKDOWN


async def test_an_open_fence_is_code_already(visit: Visit) -> None:
    drawn = await visit.page.evaluate(DRAW, "```js\nlet a = `*`;\n\n# b")
    assert drawn.endswith("<code>let a = `*`;\n\n# b</code></pre>")


async def test_hostile_markdown_does_not_hang_the_page(visit: Visit) -> None:
    seconds = await visit.page.evaluate(
        """async () => {
          const { render } = await import("/static/markdown.js");
          const began = performance.now();
          const pieces = ["*", "**a", "`", "` `` ", "_a *b ", "> ", "- ", "```\\n", "~~a "];
          for (const piece of pieces) render(piece.repeat(5000));
          return (performance.now() - began) / 1000;
        }"""
    )
    assert seconds < 5
