"""Controls that are for the person who asked for them, and for a while."""

import contextlib

from cogs.client import Interaction
from cogs.controls import ControlView
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
