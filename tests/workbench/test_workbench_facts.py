"""Facts of a chat on the page: what the calls do, and the list in the settings."""

import pytest
from browsing import CHROMIUM, Visit
from playwright.async_api import expect
from workbench_parts import HOSTILE, Bench, Client


async def test_a_fact_is_pinned_changed_and_forgotten(bench: Bench, client: Client) -> None:
    assert await client.ok("GET", "api/chats/1/facts") == {"facts": []}
    await client.ok("POST", "api/chats/1/facts", {"text": "The ferry\nsails at noon."})
    await client.say("Hello")
    await client.idle()
    assert "- The ferry sails at noon." in bench.engine.requests[-1].prompt
    changed = await client.ok("PUT", "api/chats/1/facts/1", {"text": "It sails at one."})
    expected = {"id": 1, "text": "It sails at one.", "repeats_message": False}
    assert changed == {"facts": [expected]}
    second = await client.ok("POST", "api/chats")
    assert await client.ok("GET", f"api/chats/{second['id']}/facts") == {"facts": []}
    status, _ = await client.call("DELETE", f"api/chats/{second['id']}/facts/1")
    assert status == 404
    assert await client.ok("DELETE", "api/chats/1/facts/1") == {"facts": []}


async def test_what_is_too_long_is_refused_in_words(client: Client) -> None:
    status, answer = await client.call("POST", "api/chats/1/facts", {"text": "x" * 501})
    assert status == 409
    assert "501 characters" in str(answer)
    status, _ = await client.call("PUT", "api/chats/1/facts/9", {"text": "x"})
    assert status == 404


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium was found: apt install chromium")
async def test_facts_are_listed_and_changed_in_the_settings(visit: Visit) -> None:
    await visit.button("Settings of this chat").click()
    field = visit.page.get_by_label("New fact")
    await field.fill(HOSTILE)
    await field.press("Enter")
    line = visit.page.get_by_label("Fact 1", exact=True)
    await expect(line).to_have_value(HOSTILE)
    await expect(field).to_have_value("")
    await line.fill("It sails at one.")
    await line.press("Enter")
    await visit.page.reload()
    await visit.button("Settings of this chat").click()
    await expect(line).to_have_value("It sails at one.")
    await visit.button("Forget fact 1").click()
    await expect(line).to_have_count(0)
    await expect(field).to_be_focused()
