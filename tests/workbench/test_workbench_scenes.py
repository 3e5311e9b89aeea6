"""Scenes and forks on the page: through its calls, and once in a browser."""

import json

import pytest
from browsing import CHROMIUM, Visit
from playwright.async_api import expect
from workbench_parts import Bench, Client

SCENE = "api/chats/1/scene"
NEW = {"title": "The light", "cast": ["test:mara", "test:tobias"], "name": "Ines"}


async def test_a_scene_is_played_and_ended(bench: Bench, client: Client) -> None:
    assert (await client.ok("GET", SCENE))["scene"] is None
    told = (await client.ok("POST", SCENE, {**NEW, "scenario": "A storm."}))["scene"]
    assert [one["name"] for one in told["cast"]] == ["Mara", "Tobias"]
    chat = await client.chat()
    assert chat["scene"] == told
    assert [turn["text"] for turn in chat["turns"]] == ["*The door is open.* Come in, Ines."]

    await client.ok("PUT", f"{SCENE}/me", {"name": "Kael", "description": "A smith."})
    await client.ok("PUT", f"{SCENE}/note", {"text": "Be brief.", "depth": 0})
    await client.ok("PUT", f"{SCENE}/turns", {"mode": "named"})
    assert await client.say("Anybody?") == {"kept": True, "addressed": False}
    await client.say("Tobias, is it you?")
    reply = (await client.idle())["turns"][-1]
    assert reply["name"] == "Tobias"
    prompt = bench.engine.requests[-1].prompt
    assert "Kael: Tobias, is it you?" in prompt
    assert all(words in prompt for words in ("A storm.", "A smith.", "Be brief."))

    await client.ok("POST", f"{SCENE}/say", {"persona": "test:mara"})
    assert (await client.idle())["turns"][-1]["name"] == "Mara"
    told = (await client.ok("PUT", f"{SCENE}/paused", {"paused": True}))["scene"]
    assert told["is_paused"]
    status, refused = await client.call("POST", f"{SCENE}/say", {"persona": "test:mara"})
    assert (status, refused["fix"]) == (403, "Let it go on first.")
    await client.ok("PUT", f"{SCENE}/paused", {"paused": False})
    assert (await client.ok("POST", f"{SCENE}/recap"))["text"]

    async with client.session.get(f"{client.url}{SCENE}/transcript?format=md") as response:
        assert (await response.text()).startswith("# The light\n")
    ended = await client.ok("POST", f"{SCENE}/end")
    assert "**Kael:** Anybody?" in ended["markdown"]
    assert len(json.loads(ended["json"])["turns"]) == ended["turns"] == 5
    chat = await client.chat()
    assert (chat["scene"], chat["turns"]) == (None, [])


async def test_the_cast_changes_and_what_is_wrong_is_said(client: Client) -> None:
    for body, status, words in (
        ({**NEW, "title": " "}, 403, "title"),
        ({**NEW, "cast": []}, 403, "personas"),
        ({**NEW, "cast": ["gone"]}, 404, "gone"),
        ({**NEW, "more": 1}, 400, "more"),
    ):
        found, answer = await client.call("POST", SCENE, body)
        assert (found, words in answer["error"]) == (status, True), answer
    assert (await client.call("POST", f"{SCENE}/end"))[0] == 404
    await client.ok("POST", SCENE, NEW)
    assert (await client.call("POST", SCENE, NEW))[0] == 403
    told = await client.ok("DELETE", f"{SCENE}/cast", {"persona": "test:mara"})
    assert [one["id"] for one in told["scene"]["cast"]] == ["test:tobias"]
    assert (await client.call("DELETE", f"{SCENE}/cast", {"persona": "test:tobias"}))[0] == 403
    told = await client.ok("POST", f"{SCENE}/cast", {"persona": "test:mara"})
    assert [one["id"] for one in told["scene"]["cast"]] == ["test:tobias", "test:mara"]
    assert (await client.call("PUT", f"{SCENE}/turns", {"mode": "all"}))[0] == 400
    assert (await client.call("PUT", f"{SCENE}/me", {"name": "mara"}))[0] == 403


async def test_a_fork_is_a_chat_of_its_own(client: Client) -> None:
    await client.ok("PUT", "api/chats/1/settings/persona", {"value": "Tobias"})
    await client.ok("POST", SCENE, NEW)
    turns = (await client.talked("Tobias?", "Mara?"))["turns"]
    line = await client.ok("POST", f"api/chats/1/turns/{turns[2]['id']}/fork")
    assert (line["id"], line["persona"]) == ("2", "Tobias")
    fork = await client.chat(2)
    assert [turn["text"] for turn in fork["turns"]] == [turn["text"] for turn in turns[:3]]
    assert fork["scene"]["title"] == "The light"
    await client.ok("PUT", f"api/chats/2/turns/{fork['turns'][1]['id']}", {"text": "Edited."})
    assert (await client.chat())["turns"] == turns


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium was found: apt install chromium")
async def test_a_scene_in_the_browser(visit: Visit) -> None:
    page = visit.page
    await page.locator("#open-menu").click()
    await page.locator("#open-scene").click()
    await page.get_by_label("Title").fill("The light")
    await page.get_by_label("What it is about").fill("A storm comes up.")
    await page.get_by_label("Mara", exact=True).check()
    await page.get_by_label("Tobias", exact=True).check()
    await visit.button("Begin").click()
    stage = page.locator("#on-stage")
    await expect(stage).to_contain_text("The light")
    await expect(stage).to_contain_text("free · Mara, Tobias")
    await visit.say("Tobias?")
    await expect(page.locator("#turns .turn.bot .who").last).to_have_text("Tobias")
    await visit.idle()
    await stage.click()
    await page.get_by_label("Who answers").select_option("round")
    await page.get_by_label("Name; nothing for yourself").fill("Kael")
    await visit.button("Save").first.click()
    await expect(stage).to_contain_text("round")
    await visit.button("Let Mara speak now").click()
    await expect(page.locator("#turns .turn.bot .who").last).to_have_text("Mara")
    await visit.idle()
    await page.get_by_role("button", name="Go on from here in another chat").first.click()
    await expect(page.locator("#chats button")).to_have_count(2)
    await expect(stage).to_contain_text("The light")
    await stage.click()
    await visit.button("End it").click()
    await page.locator("#confirm-yes").click()
    await expect(page.locator("#scene-title")).to_have_text("The light has ended")
    await expect(page.get_by_role("link", name="Save as Markdown")).to_be_visible()
    await expect(stage).to_be_hidden()
