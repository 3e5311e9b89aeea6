"""The editor of a server's own persona: choose what to change, and a form opens with it."""

from collections.abc import Mapping
from typing import Any

import discord

from bot.chat.persona import Persona
from bot.errors import CaduceusError, NotAllowed, PersonaError
from cogs.client import Interaction, bot_of
from cogs.commands.library.asking import AskerView
from cogs.commands.personas.costs import costs_of
from cogs.commands.personas.fields import (
    BY_KEY,
    CHOICES,
    GREETING,
    LONG,
    Choice,
    long_change,
    long_text,
)
from cogs.commands.personas.looks import PICTURE, describe, picture_file
from cogs.commands.personas.parts import INPUTS, joined, parts_of, units_of
from cogs.commands.personas.picture import PictureForm, set_picture
from cogs.controls import ControlForm
from cogs.interactions import shown_embeds, shown_line, tell

GREETINGS_SHOWN = 24  # of 25 options; the last adds one
KEPT = "What you typed stands in the form when you open it again."


class PersonaEditor(AskerView):
    """What can be changed of a persona, and what was typed that could not be taken."""

    def __init__(self, asked: Interaction, persona: Persona, *, has_picture: bool) -> None:
        super().__init__(asked)
        self.persona = persona
        self.has_picture = has_picture
        self.unsaved: dict[str, dict[str, str]] = {}  # by the form
        self._pages_of = ""  # the long text whose pages are offered
        self.build()

    def build(self) -> None:
        """The controls for the persona as it is now."""
        self.clear_items()
        self.add_item(_FieldSelect())
        self.add_item(_GreetingSelect(len(self.persona.alternate_greetings)))
        if self._pages_of:
            pages = pages_of(long_text(self.persona, self._pages_of))
            self.add_item(_PageSelect(self._pages_of, pages))
        self.add_item(_PictureButton("Change its picture" if self.has_picture else "Add a picture"))
        if self.has_picture:
            self.add_item(_RemovalButton())

    async def open(self, interaction: Interaction, key: str) -> None:
        """Open the form of a choice, or offer the pages of a text that is too long for one."""
        choice = BY_KEY.get(key)
        if choice is not None and choice.lines:
            form: discord.ui.Modal = ShortForm(self, choice)
        elif pages_of(long_text(self.persona, key)) > 1:
            self._pages_of = key
            self.build()
            await interaction.response.edit_message(view=self)
            return
        else:
            form = LongForm(self, key, 0)
        await interaction.response.send_modal(form)

    async def save(
        self,
        interaction: Interaction,
        form: str,
        typed: Mapping[str, str],
        changes: Mapping[str, object],
    ) -> None:
        """Keep changes, and show the persona anew. The interaction is acknowledged already."""
        workshop = bot_of(interaction).desk.workshop
        before = {field: getattr(self.persona, field) for field in changes}
        try:
            by = str(interaction.user.id)
            self.persona = await workshop.edit(self.persona, changes, by, before=before)
        except CaduceusError as error:
            self.unsaved[form] = dict(typed)
            await self._look_again(interaction)
            await tell(interaction, f"{await shown_line(interaction, error)} {KEPT}")
            return
        self.unsaved.pop(form, None)
        await self._show(interaction, "Saved.")

    async def save_picture(self, interaction: Interaction, file: discord.Attachment | None) -> None:
        """Give it this picture, or none, and show it anew. Raises PersonaError or NotFound."""
        await set_picture(interaction, self.persona, file)
        await self._look_again(interaction)
        await self._show(interaction, "Saved." if file else "The picture is removed.")

    async def _show(self, interaction: Interaction, said: str) -> None:
        embed, files = await look_of(interaction, self.persona)
        self.has_picture = bool(files)
        self.build()
        await interaction.edit_original_response(
            content=said, embed=embed, attachments=files, view=self
        )

    async def _look_again(self, interaction: Interaction) -> None:
        """Go on from the persona as it is now: somebody else may have changed it."""
        bot = bot_of(interaction)
        now = await bot.desk.personas.by_id(self.persona.guild_id, self.persona.id)
        self.persona = now or self.persona


async def look_of(
    interaction: Interaction, persona: Persona
) -> tuple[discord.Embed, list[discord.File]]:
    """A persona as the editor shows it, and its picture for the embed where it has one."""
    bot = bot_of(interaction)
    costs = await costs_of(bot.conversations.engines, persona)
    kept = await bot.desk.workshop.kept(persona)
    embed = describe(persona, costs, kept, has_picture=False)
    await shown_embeds(interaction, [embed])
    picture = await bot.desk.thumbnails.of(persona)
    if picture is None:
        return embed, []
    return embed.set_thumbnail(url=f"attachment://{PICTURE}"), [picture_file(picture)]


def pages_of(text: str) -> int:
    """How many forms a long text takes, one part at least being left for more of it."""
    return max(1, -(-len(parts_of(text)) // INPUTS))


class _FieldSelect(discord.ui.Select[PersonaEditor]):
    def __init__(self) -> None:
        options = [
            discord.SelectOption(label=choice.label, value=choice.key, description=choice.help)
            for choice in CHOICES
        ]
        super().__init__(
            custom_id="persona-field", placeholder="What do you want to change?", options=options
        )

    async def callback(self, interaction: Interaction) -> None:
        assert self.view is not None  # noqa: S101 - a select stands in a view
        await self.view.open(interaction, self.values[0])


class _GreetingSelect(discord.ui.Select[PersonaEditor]):
    def __init__(self, count: int) -> None:
        options = [
            discord.SelectOption(label=f"Greeting {place + 2}", value=GREETING.format(place))
            for place in range(min(count, GREETINGS_SHOWN))
        ]
        options.append(
            discord.SelectOption(label="One more greeting", value=GREETING.format(count))
        )
        super().__init__(
            custom_id="persona-greeting", placeholder="Other greetings", options=options
        )

    async def callback(self, interaction: Interaction) -> None:
        assert self.view is not None  # noqa: S101
        await self.view.open(interaction, self.values[0])


class _PageSelect(discord.ui.Select[PersonaEditor]):
    def __init__(self, key: str, pages: int) -> None:
        options = [
            discord.SelectOption(label=f"Part {page + 1} of {pages}", value=str(page))
            for page in range(min(pages, 25))
        ]
        label = BY_KEY[key].label if key in BY_KEY else "This greeting"
        super().__init__(
            custom_id="persona-page",
            placeholder=f"{label} is long: which part?",
            options=options,
        )
        self._key = key

    async def callback(self, interaction: Interaction) -> None:
        assert self.view is not None  # noqa: S101
        form = LongForm(self.view, self._key, int(self.values[0]))
        await interaction.response.send_modal(form)


class _PictureButton(discord.ui.Button[PersonaEditor]):
    def __init__(self, label: str) -> None:
        super().__init__(custom_id="persona-picture", label=label)

    async def callback(self, interaction: Interaction) -> None:
        assert self.view is not None  # noqa: S101 - a button stands in a view
        await interaction.response.send_modal(PictureForm(self.view.save_picture))


class _RemovalButton(discord.ui.Button[PersonaEditor]):
    """Removes the picture when it is pressed a second time: that cannot be undone."""

    def __init__(self) -> None:
        super().__init__(custom_id="persona-no-picture", label="Remove its picture")
        self._is_sure = False

    async def callback(self, interaction: Interaction) -> None:
        assert self.view is not None  # noqa: S101
        if not self._is_sure:
            self._is_sure = True
            self.label, self.style = "Remove it for good", discord.ButtonStyle.danger
            await interaction.response.edit_message(view=self.view)
            return
        await interaction.response.defer()
        await self.view.save_picture(interaction, None)


class ShortForm(ControlForm):
    """Several short fields."""

    def __init__(self, editor: PersonaEditor, choice: Choice) -> None:
        super().__init__(title=choice.label)
        self._editor = editor
        self._choice = choice
        typed = editor.unsaved.get(choice.key, {})
        self._inputs: dict[str, discord.ui.TextInput[Any]] = {}
        self._shown: dict[str, str] = {}
        for line in choice.lines:
            shown = line.show(editor.persona)
            if units_of(shown) > line.most:
                raise PersonaError(
                    f"«{line.label}» is too long for a form of Discord's.",
                    "Export the persona, change it in the file, and import that.",
                )
            self._shown[line.field] = shown
            self._inputs[line.field] = discord.ui.TextInput(
                label=line.label,
                custom_id=line.field,
                default=typed.get(line.field, shown) or None,
                max_length=line.most,
                required=line.is_required,
                style=discord.TextStyle.long if line.is_long else discord.TextStyle.short,
            )
            self.add_item(self._inputs[line.field])

    def refused(self, error: NotAllowed) -> NotAllowed:
        """What was typed stays in the form."""
        self._editor.unsaved[self._choice.key] = self._typed()
        return NotAllowed(error.message, KEPT)

    def _typed(self) -> dict[str, str]:
        return {field: entry.value for field, entry in self._inputs.items()}

    async def on_submit(self, interaction: Interaction, /) -> None:
        """Keep what was changed."""
        await interaction.response.defer()
        typed = self._typed()
        try:
            changes = {
                line.field: line.read(self._editor.persona, typed[line.field].strip())
                for line in self._choice.lines
                if typed[line.field].strip() != self._shown[line.field].strip()
            }
        except PersonaError as error:
            self._editor.unsaved[self._choice.key] = typed
            raise PersonaError(error.message, f"{error.fix} {KEPT}".strip()) from error
        await self._editor.save(interaction, self._choice.key, typed, changes)


class LongForm(ControlForm):
    """A long text, or a page of it, in parts."""

    def __init__(self, editor: PersonaEditor, key: str, page: int) -> None:
        label = BY_KEY[key].label if key in BY_KEY else "Greeting"
        super().__init__(title=label)
        self._editor = editor
        self._key = key
        self._form = f"{key}#{page}"
        all_parts = parts_of(long_text(editor.persona, key))
        first = page * INPUTS
        here = all_parts[first : first + INPUTS]
        self._before = "".join(part + gap for part, gap in all_parts[:first])
        self._after = "".join(part + gap for part, gap in all_parts[first + INPUTS :])
        self._gaps = [gap for _, gap in here]
        self._shown = [part for part, _ in here]
        # Room for more, where the text ends here.
        more = 0 if self._after else min(INPUTS - len(here), 1 if self._shown[-1] else 0)
        typed = editor.unsaved.get(self._form, {})
        self._inputs: list[discord.ui.TextInput[Any]] = []
        for place, part in enumerate([*self._shown, *[""] * more]):
            custom_id = f"part-{place}"
            name = label if len(here) + more == 1 else f"{label}, part {first + place + 1}"
            entry: discord.ui.TextInput[Any] = discord.ui.TextInput(
                label=name[:45],
                custom_id=custom_id,
                default=typed.get(custom_id, part) or None,
                max_length=LONG,
                required=False,
                style=discord.TextStyle.long,
            )
            self._inputs.append(entry)
            self.add_item(entry)

    def refused(self, error: NotAllowed) -> NotAllowed:
        """What was typed stays in the form."""
        self._editor.unsaved[self._form] = self._typed()
        return NotAllowed(error.message, KEPT)

    def _typed(self) -> dict[str, str]:
        return {f"part-{place}": entry.value for place, entry in enumerate(self._inputs)}

    async def on_submit(self, interaction: Interaction, /) -> None:
        """Put the parts in their place again."""
        await interaction.response.defer()
        typed = self._typed()
        values = [entry.value for entry in self._inputs]
        text = self._before + joined(values, self._gaps) + self._after
        changes = long_change(self._editor.persona, self._key, text.strip())
        await self._editor.save(interaction, self._form, typed, changes)


async def show_editor(interaction: Interaction, persona: Persona, said: str = "") -> None:
    """Show a persona with what can be changed of it. The interaction is acknowledged already."""
    embed, files = await look_of(interaction, persona)
    await interaction.followup.send(
        f"{said}What is edited here changes nothing that was said before.",
        embed=embed,
        files=files,
        view=PersonaEditor(interaction, persona, has_picture=bool(files)),
        ephemeral=True,
    )
