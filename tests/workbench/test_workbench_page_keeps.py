"""The page keeps what a person has written, and says in one line what it cannot do."""

import asyncio

import pytest
from browsing import CHROMIUM, OpenPage, Visit
from playwright.async_api import Route, expect
from workbench_parts import Bench, StartBench

from bot.chat.messages import ChannelKey
from bot.engine.fake import FakeEngine
from bot.errors import RequestTooLarge

LOST = "The connection to Caduceus is lost. It comes back by itself once the program runs again."

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium was found: apt install chromium"),
]


async def test_a_draft_stays_with_its_chat_and_outlasts_a_reload(visit: Visit) -> None:
    await visit.field.fill("a thought about lighthouses")
    await visit.button("New chat").click()
    await expect(visit.field).to_have_value("")
    await visit.field.fill("another, for here")
    await visit.page.go_back()
    await expect(visit.field).to_have_value("a thought about lighthouses")
    await visit.page.reload()
    await expect(visit.field).to_have_value("a thought about lighthouses")
    await visit.field.press("Enter")
    await expect(visit.replies).to_have_count(1)
    await visit.page.reload()
    await expect(visit.replies).to_have_count(1)
    await expect(visit.field).to_have_value("")
    await visit.page.go_forward()
    await expect(visit.field).to_have_value("another, for here")


async def test_what_cannot_be_sent_is_back_in_the_field_of_its_own_chat(
    bench: Bench, open_page: OpenPage
) -> None:
    visit = await open_page(bench)
    goes_on = asyncio.Event()

    async def refuse(route: Route) -> None:
        await goes_on.wait()
        await route.abort()

    await visit.page.route("**/messages", refuse)
    await visit.say("my words")
    await expect(visit.field).to_have_value("")
    await visit.field.fill("and more")
    await visit.button("New chat").click()
    await expect(visit.field).to_have_value("")
    goes_on.set()
    await expect(visit.page.locator("#toasts")).to_contain_text(LOST)
    await expect(visit.field).to_have_value("")
    await visit.page.go_back()
    await expect(visit.field).to_have_value("my words\nand more")
    visit.faults.clear()  # the browser logs the request that we broke


async def test_a_lost_connection_has_one_wording(visit: Visit) -> None:
    await visit.page.route("**/api/**", lambda route: route.abort())
    await visit.page.evaluate("location.hash = '#7'")
    await visit.say("is anybody there?")
    await expect(visit.page.locator("#toasts")).to_have_text(LOST)
    await expect(visit.field).to_have_value("is anybody there?")
    source = "import('/static/api.js').then((module) => module.LOST)"
    assert await visit.page.evaluate(source) == LOST
    visit.faults.clear()


async def test_a_message_that_is_too_long_is_neither_cut_nor_sent(
    bench: Bench, visit: Visit
) -> None:
    await visit.page.evaluate(
        """() => {
          const field = document.querySelector("#message");
          field.focus();
          document.execCommand("insertText", false, "x".repeat(20_512));
        }"""
    )
    assert len(await visit.field.input_value()) == 20_512
    await expect(visit.page.locator("#too-long")).to_contain_text("512 too many")
    await expect(visit.button("Send")).to_be_disabled()
    await visit.field.press("Enter")
    assert len(await visit.field.input_value()) == 20_512
    await visit.field.fill("é" * 20_000)
    await expect(visit.page.locator("#too-long")).to_be_hidden()
    await visit.field.press("Enter")
    await expect(visit.replies).to_contain_text("The first reply")  # it stands there empty before
    assert len(bench.engine.requests) == 1


PASTE = """([kind, text]) => {
  const data = new DataTransfer();
  data.items.add(new File(["x"], "picture.png", { type: "image/png" }));
  if (text) data.setData("text/plain", text);
  const Kind = kind === "paste" ? ClipboardEvent : DragEvent;
  const both = { clipboardData: data, dataTransfer: data };
  const event = new Kind(kind, { ...both, bubbles: true, cancelable: true });
  document.querySelector("#message").dispatchEvent(event);
  return event.defaultPrevented;
}"""


@pytest.mark.parametrize("kind", ["paste", "drop"])
async def test_a_picture_is_refused_in_words(visit: Visit, kind: str) -> None:
    assert await visit.page.evaluate(PASTE, [kind, ""])
    await expect(visit.page.locator("#toasts")).to_contain_text("Pictures and files cannot be sent")


async def test_text_that_comes_with_a_picture_is_taken(visit: Visit) -> None:
    assert not await visit.page.evaluate(PASTE, ["paste", "a table"])
    await expect(visit.page.locator("#toasts")).to_be_empty()


async def test_what_is_too_long_for_the_model_is_edited_not_tried_again(
    start_bench: StartBench, open_page: OpenPage
) -> None:
    engine = FakeEngine([RequestTooLarge("It is too long."), "Now I can."])
    visit = await open_page(await start_bench(engine))
    await visit.say("far too much")
    note = visit.page.locator("#note")
    await expect(note).to_contain_text("more than the model can read at once")
    await expect(note.get_by_role("button")).to_have_text(["Edit it"])
    await note.get_by_role("button").click()
    await visit.page.locator(".edit textarea").fill("less")
    await visit.button("Save").click()
    await note.get_by_role("button", name="Answer it").click()
    await expect(visit.replies).to_have_text(["Now I can."])


async def test_an_edit_outlasts_a_reload_and_the_end_of_its_message(
    bench: Bench, visit: Visit
) -> None:
    await visit.say("Hello")
    await expect(visit.replies).to_have_count(1)
    await visit.idle()
    await visit.page.locator(".turn.bot").get_by_role("button", name="Edit").click()
    edited = visit.page.locator(".edit textarea")
    await edited.fill("my own version")
    await visit.page.reload()
    await expect(edited).to_have_value("my own version")
    turns = await bench.database.history.export(ChannelKey("workbench", "1", is_direct=True))
    path = f"{bench.url}api/chats/1/turns/{turns[-1].turn_id}"
    await visit.page.evaluate("(path) => fetch(path, { method: 'DELETE' })", path)
    await expect(edited).to_have_count(0)
    await expect(visit.field).to_have_value("my own version")


async def test_a_conversation_that_was_left_is_read_taken_up_and_deleted(visit: Visit) -> None:
    await visit.say("the first talk")
    await expect(visit.replies).to_have_count(1)
    await visit.idle()
    await visit.button("More").click()
    await visit.page.locator("#reset").click()
    await expect(visit.page.locator("#turns .turn")).to_have_count(0)
    await visit.say("the second talk")
    await expect(visit.replies).to_have_count(1)
    await visit.idle()

    await visit.button("More").click()
    await visit.page.locator("#open-past").click()
    lines = visit.page.locator(".past-list button")
    await expect(lines).to_have_count(2)
    await expect(lines.nth(0)).to_contain_text("2 messages, the present one")
    await lines.nth(1).click()
    await expect(visit.page.locator(".past-turns")).to_contain_text("the first talk")
    await expect(visit.page.get_by_role("link", name="Save as JSON")).to_have_count(1)
    await visit.button("Go on with it").click()
    await expect(visit.page.locator("#past")).to_be_hidden()
    await expect(visit.page.locator("#turns")).to_contain_text("the first talk")

    await visit.button("More").click()
    await visit.page.locator("#open-past").click()
    await lines.filter(has_text="the second talk").click()
    await visit.page.locator("#past").get_by_role("button", name="Delete").click()
    await visit.page.locator("#confirm-yes").click()
    await expect(lines).to_have_count(1)
    await expect(lines).to_contain_text("the first talk")


COST = """async (texts) => {
  const { render } = await import("/static/markdown.js");
  const place = document.querySelector("#greeting .text");
  const costs = [];
  for (const text of texts) {
    const before = performance.now();
    place.replaceChildren(render(text));
    place.getBoundingClientRect();
    costs.push(performance.now() - before);
  }
  return costs;
}"""


async def test_no_text_of_a_messages_length_takes_the_page_long(visit: Visit) -> None:
    patterns = [
        "x",
        "*a ",
        "_*`[",
        "[](http://a)",
        "*\n",
        "a\n\n",
        "> ",
        "```\n",
        "`a",
        "<",
        "~~a~~",
    ]
    texts = [(pattern * 20_000)[:20_000] for pattern in patterns]
    texts.append("".join("`" * length + "a" for length in range(200)))
    costs = await visit.page.evaluate(COST, texts)
    slow = {text[:4]: cost for text, cost in zip(texts, costs, strict=True) if cost > 1_000}
    assert not slow
