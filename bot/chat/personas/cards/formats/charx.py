"""CHARX: a zip with a V3 card and its assets (character-card-spec-v3, «CHARX»)."""

import re
import zipfile
from collections.abc import Mapping
from io import BytesIO

from bot.chat.personas.cards.card import Asset, Card

CARD_FILE = "card.json"
ICON_FILE = "assets/icon/image/main.png"
ICON_ASSET: Mapping[str, str] = {
    "type": "icon", "uri": f"embeded://{ICON_FILE}", "name": "main", "ext": "png",
}  # fmt: skip
_EMBEDDED = re.compile(r"(?:embedd?ed://|__asset:)(.+)", re.IGNORECASE | re.DOTALL)
_UNDATED = (1980, 1, 1, 0, 0, 0)  # as zips say it


def icon_of(assets: tuple[Asset, ...]) -> Asset | None:
    """The asset that is the main picture: the icon called `main`, else the first icon."""
    icons = [asset for asset in assets if asset.type == "icon"]
    return next((icon for icon in icons if icon.name == "main"), icons[0] if icons else None)


def embedded_path(asset: Asset | None) -> str | None:
    """Where in the file an asset lies; None for one that is elsewhere or nowhere."""
    found = _EMBEDDED.fullmatch(asset.uri.strip()) if asset else None
    return found[1].lstrip("/") if found else None


def embedded_file(asset: Asset | None, files: Mapping[str, bytes]) -> bytes | None:
    """An asset's content, from the file itself: no address is ever looked up elsewhere."""
    path = embedded_path(asset)
    if path is None:
        return None
    if path in files:
        return files[path]
    key = path.lower()
    return next((body for name, body in files.items() if name.lower() == key), None)


def missing_assets(card: Card) -> int:
    """How many assets should lie in the file and don't."""
    return sum(
        embedded_path(asset) is not None and embedded_file(asset, card.files) is None
        for asset in card.assets
    )


def build_charx(document: bytes, files: Mapping[str, bytes]) -> bytes:
    """A CHARX of a V3 document and what lies beside it."""
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as writing:
        for path, content in {CARD_FILE: document, **files}.items():
            writing.writestr(zipfile.ZipInfo(path, _UNDATED), content, zipfile.ZIP_DEFLATED)
    return archive.getvalue()
