"""The editor of a server's own persona: choose what to change, and a form opens with it."""

from collections.abc import Mapping, Sequence
from typing import Any

import discord

from bot.chat.persona import Persona
from bot.errors import CaduceusError, PersonaError
from cogs.commands.library.asking import AskerView
from cogs.commands.personas.costs import costs_of
from cogs.commands.personas.fields import (
    BY_KEY,
    CHOICES,
    GREETING,
    LONG,
    SHORT,
    Choice,
    long_change,
    long_text,
)
from cogs.commands.personas.finding import require_editor
from cogs.commands.personas.looks import describe, plain
from cogs.commands.personas.parts import INPUTS, joined, parts_of, units_of
from cogs.interactions import Interaction, bot_of, line_of, tell, told

GREETINGS_SHOWN = 24  # of 25 options; the last adds one
KEPT = "What you typed stands in the form when you open it again."


class PersonaEditor(AskerView):
    """What can be changed of a persona, and what was typed that could not be taken."""

    def __init__(self, asked: Interaction, persona: Persona) -> None:
        super().__init__(asked)
        self.persona = persona
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
            require_editor(interaction)
            by = str(interaction.user.id)
            self.persona = await workshop.edit(self.persona, changes, by, before=before)
        except CaduceusError as error:
            self.unsaved[form] = dict(typed)
            await self._look_again(interaction)
            await tell(interaction, f"{line_of(error)} {KEPT}")
            return
        self.unsaved.pop(form, None)
        self.build()
        await interaction.edit_original_response(
            content="Saved.", embed=await embed_of(interaction, self.persona), view=self
        )

    async def _look_again(self, interaction: Interaction) -> None:
        """Go on from the persona as it is now: somebody else may have changed it."""
        bot = bot_of(interaction)
        now = await bot.desk.personas.by_id(self.persona.guild_id, self.persona.id)
        self.persona = now or self.persona


async def embed_of(interaction: Interaction, persona: Persona) -> discord.Embed:
    """A persona as the editor shows it."""
    bot = bot_of(interaction)
    costs = await costs_of(bot.conversations.engines, persona)
    kept = await bot.desk.workshop.kept(persona)
    return describe(persona, costs, kept, has_picture=False)


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


class _Form(discord.ui.Modal):
    """A form whose failure is told."""

    async def on_error(self, interaction: Interaction, error: Exception, /) -> None:
        """Say that it failed; the log has the cause."""
        await super().on_error(interaction, error)
        await tell(interaction, "Something went wrong. The bot's owner finds the cause in the log.")


class ShortForm(_Form):
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

    async def on_submit(self, interaction: Interaction, /) -> None:
        """Keep what was changed."""
        await interaction.response.defer()
        typed = {field: entry.value for field, entry in self._inputs.items()}
        async with told(interaction):
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


class LongForm(_Form):
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

    async def on_submit(self, interaction: Interaction, /) -> None:
        """Put the parts in their place again."""
        await interaction.response.defer()
        values = [entry.value for entry in self._inputs]
        typed = {f"part-{place}": value for place, value in enumerate(values)}
        text = self._before + joined(values, self._gaps) + self._after
        async with told(interaction):
            changes = long_change(self._editor.persona, self._key, text.strip())
            await self._editor.save(interaction, self._form, typed, changes)


class CreateForm(_Form, title="A new persona"):
    """The fields that a persona begins with; the editor has the others."""

    FIELDS: Sequence[tuple[str, str, int]] = (
        ("name", "Name", 80),
        ("description", "Description: who it is", LONG),
        ("personality", "Personality", LONG),
        ("scenario", "Scenario", LONG),
        ("greeting", "Greeting: what it says first", LONG),
    )

    def __init__(self, typed: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._inputs: dict[str, discord.ui.TextInput[Any]] = {}
        for field, label, most in self.FIELDS:
            self._inputs[field] = discord.ui.TextInput(
                label=label,
                custom_id=field,
                default=(typed or {}).get(field) or None,
                max_length=most,
                required=field == "name",
                style=discord.TextStyle.long if most > SHORT else discord.TextStyle.short,
            )
            self.add_item(self._inputs[field])

    async def on_submit(self, interaction: Interaction, /) -> None:
        """Make it, and offer the editor. What cannot be taken is kept for another try."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        typed = {field: entry.value for field, entry in self._inputs.items()}
        try:
            guild_id = require_editor(interaction)
            by = str(interaction.user.id)
            made = await bot_of(interaction).desk.workshop.create(guild_id, typed, by)
        except CaduceusError as error:
            await interaction.followup.send(
                f"{line_of(error)} {KEPT}", view=RetryView(interaction, typed), ephemeral=True
            )
            return
        await show_editor(interaction, made, "It is one of this server's personas now. ")


class RetryView(AskerView):
    """Opens the form again with what was typed."""

    def __init__(self, asked: Interaction, typed: Mapping[str, str]) -> None:
        super().__init__(asked)
        self._typed = typed

    @discord.ui.button(label="Open the form again")
    async def again(self, interaction: Interaction, _button: discord.ui.Button[Any]) -> None:
        """Open it."""
        await interaction.response.send_modal(CreateForm(self._typed))


class CopyView(AskerView):
    """Makes a copy of the owner's persona, which can be edited."""

    def __init__(self, asked: Interaction, persona: Persona) -> None:
        super().__init__(asked)
        self._persona = persona

    @discord.ui.button(label="Make a copy for this server")
    async def copy(self, interaction: Interaction, _button: discord.ui.Button[Any]) -> None:
        """Make it, and open the editor."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        async with told(interaction):
            guild_id = require_editor(interaction)
            workshop = bot_of(interaction).desk.workshop
            card = await workshop.card(self._persona)
            name = await workshop.free_name(guild_id, self._persona.name)
            made = await workshop.take(guild_id, card, str(interaction.user.id), name)
            self.stop()
            await show_editor(interaction, made, f"**{plain(made.name, 200)}** is a copy. ")


async def offer_copy(interaction: Interaction, persona: Persona) -> None:
    """Say that a persona is the owner's, and offer a copy of it."""
    await interaction.followup.send(
        f"**{plain(persona.name, 200)}** belongs to the bot's owner and is not changed here.",
        view=CopyView(interaction, persona),
        ephemeral=True,
    )


async def show_editor(interaction: Interaction, persona: Persona, said: str = "") -> None:
    """Show a persona with what can be changed of it. The interaction is acknowledged already."""
    await interaction.followup.send(
        f"{said}What is edited here changes nothing that was said before.",
        embed=await embed_of(interaction, persona),
        view=PersonaEditor(interaction, persona),
        ephemeral=True,
    )
