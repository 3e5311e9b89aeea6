"""Words without the commonest endings of their language, so that one form finds another.

Light stemming: what is common to most forms of a noun, not a linguist's root. Of one word, every
form may lose too little; then no more is lost than that it is not found by this form. Words come
folded: in small letters, without accents (so «й» is «и», «أ» is «ا»).
"""

# ruff: noqa: RUF001, RUF002 - letters of other scripts look like ours

import regex

_CYRILLIC = regex.compile(r"\p{Cyrillic}+")
_ARABIC = regex.compile(r"[\p{Arabic}ـ]+")
LEAST_LETTERS = 3  # of what is left

_ENGLISH = (("ies", "y"), ("sses", "ss"), ("ing", ""), ("ed", ""), ("es", "e"), ("s", ""))
_GERMAN = ("ern", "en")  # of plurals: «Kindern», «Hunden»
_LEAST_GERMAN = 4
# Of Russian nouns and adjectives; Ukrainian and Bulgarian ones share most. Longest first.
_SLAVIC = (
    "иями", "ами", "ями", "ыми", "ими", "ого", "его", "ому", "ему", "иеи", "иям", "иях", "ою",
    "ею", "ов", "ев", "еи", "ои", "ыи", "ии", "ом", "ем", "ам", "ям", "ах", "ях", "ую", "юю", "ая",
    "яя", "ое", "ее", "ие", "ые", "их", "ых", "ия", "ью", "ья", "ию", "а", "е", "и", "і", "о", "у",
    "ы", "ь", "ю", "я",
)  # fmt: skip
_ARTICLES = ("وال", "بال", "فال", "كال", "ال", "لل", "و")  # with «and», «in», «so», «like», «for»
_PRONOUNS = ("هما", "ها", "هم", "كم", "نا", "ون", "ين", "ان", "ه", "ك", "ي")  # and plurals
# How letters are written in one place and not in another: a feminine ending before a pronoun.
_ARABIC_LETTERS = str.maketrans({"ة": "ت", "ى": "ي", "ـ": None})


def stem(word: str) -> str:
    """A folded word without its ending, where enough is left."""
    if word.isascii():
        return _latin(word)
    if _CYRILLIC.fullmatch(word):
        return _without_ending(word, _SLAVIC, LEAST_LETTERS)
    if _ARABIC.fullmatch(word):
        return _arabic(word)
    return word


def _latin(word: str) -> str:
    if len(word) < 4 or not word.isalpha():
        return word
    for ending, instead in _ENGLISH:
        if word.endswith(ending) and not word.endswith(("ss", "us", "is")):
            left = word.removesuffix(ending) + instead
            if len(left) >= LEAST_LETTERS:
                return _ended(left)
    return _ended(_without_ending(word, _GERMAN, _LEAST_GERMAN))


def _ended(left: str) -> str:
    """One form of «stop», «stopped» and «stopping», of «bake», «bakes» and «baking»."""
    if len(left) > 3 and left[-1] == left[-2] and left[-1] not in "lsz":
        left = left[:-1]
    return left.removesuffix("e") if len(left) > 3 else left


def _arabic(word: str) -> str:
    word = word.translate(_ARABIC_LETTERS)
    for article in _ARTICLES:
        if word.startswith(article) and len(word) - len(article) >= LEAST_LETTERS:
            word = word.removeprefix(article)
            break
    return _without_ending(word, _PRONOUNS, LEAST_LETTERS)


def _without_ending(word: str, endings: tuple[str, ...], least: int) -> str:
    for ending in endings:
        if word.endswith(ending) and len(word) - len(ending) >= least:
            return word.removesuffix(ending)
    return word
