"""Controls that are for the person who asked for them, and for a while; forms that tell."""

import contextlib

from bot.errors import CaduceusError
from cogs.client import Interaction
from cogs.controls import ControlForm, ControlView
from cogs.interactions import line_of, tell
from cogs.platform import WRITE_ERRORS

ASKING_SECONDS = 600.0  # Discord lets the answer be edited for fifteen minutes


class AskerView(ControlView):
    """A view for one person. After a while its controls go."""

    def __init__(self, asked: Interaction, *, seconds: float = ASKING_SECONDS) -> None:
        """`asked` is the interaction whose answer the view stands under."""
        super().__init__(timeout=seconds)
        self.asked = asked
        self.presser = asked.user.id

    async def on_timeout(self) -> None:
        """Take the controls away, if that is still possible."""
        with contextlib.suppress(*WRITE_ERRORS):
            await self.asked.edit_original_response(view=None)


class TellingForm(ControlForm):
    """A form whose failure is told."""

    async def on_error(self, interaction: Interaction, error: Exception, /) -> None:
        """Say that it failed; the log has the cause."""
        if isinstance(error, CaduceusError):
            await tell(interaction, line_of(error))
            return
        await super().on_error(interaction, error)
        await tell(interaction, "Something went wrong. The bot's owner finds the cause in the log.")
