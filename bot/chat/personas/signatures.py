"""What a file is that holds neither a card nor a lorebook, by how it begins."""

_PICTURES = (b"\xff\xd8\xff", b"GIF8", b"\x89PNG\r\n\x1a\n")
_BEGINNINGS = (
    (b"PK\3\4", "a zip archive"),
    (b"PK\5\6", "an empty zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x1f\x8b", "a file packed with gzip"),
    (b"\xfd7zXZ\0", "a file packed with xz"),
    (b"\x28\xb5\x2f\xfd", "a file packed with zstd"),
    (b"%PDF-", "a PDF document"),
    (b"{\\rtf", "a text document (RTF)"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a document of an old Office"),
    (b"SQLite format 3\0", "a database of SQLite"),
    (b"\x7fELF", "a program"),
    (b"OggS", "a sound or a film (Ogg)"),
)
# A text may begin so as well: they have other bytes that no text has.
_LIKE_TEXT = (
    (b"BZh", "a file packed with bzip2"),
    (b"GGUF", "a model (GGUF)"),
    (b"MZ", "a program for Windows"),
    (b"ID3", "a sound (MP3)"),
)
_NO_TEXT = bytes(range(9))
_MARKUP = (
    (b"<!doctype html", "a web page (HTML)"),
    (b"<html", "a web page (HTML)"),
    (b"<svg", "a drawing (SVG)"),
    (b"<?xml", "an XML document"),
)
_LOOKED_AT = 1_024  # bytes
_BOM = b"\xef\xbb\xbf"


def is_picture(content: bytes) -> bool:
    """Whether it begins as a picture does, however broken it is."""
    is_in_riff = content.startswith(b"RIFF") and content[8:12] == b"WEBP"
    return content.startswith(_PICTURES) or is_in_riff


def what_it_is(content: bytes) -> str:
    """What a file is, in words that follow "is"; "" where its beginning does not tell."""
    if not content.strip(b" \t\r\n\0"):
        return "an empty file"
    if is_picture(content):
        return "a picture"
    if content[4:8] == b"ftyp":
        return "a picture or a film"
    if content.startswith(b"RIFF"):
        return "a sound or a film"
    head = content[:_LOOKED_AT]
    is_binary = len(head.translate(None, _NO_TEXT)) < len(head)
    for beginning, said in (*_BEGINNINGS, *(_LIKE_TEXT if is_binary else ())):
        if head.startswith(beginning):
            return said
    bare = head.removeprefix(_BOM).lstrip().lower()
    for beginning, said in _MARKUP:
        if bare.startswith(beginning):
            return said
    return ""
