"""The tables of what bounds conversations."""

from datetime import date

from sqlalchemy import BigInteger, Date
from sqlalchemy.orm import Mapped, mapped_column

from bot.store.tables import Base

__all__ = ["Base", "TokensSpentRow"]


class TokensSpentRow(Base):
    """What was written for somebody on a day, in a guild or a direct message: `home`."""

    __tablename__ = "tokens_spent"

    home: Mapped[str] = mapped_column(primary_key=True)
    speaker_id: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True, index=True)
    tokens: Mapped[int] = mapped_column(BigInteger)
