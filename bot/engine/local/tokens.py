"""Text to tokens and back. Encoding is safe from any thread; a TextStream is one request's."""

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

from bot.engine.local.vocabulary import Vocabulary, piece_of

REPLACEMENT = "\ufffd"  # what a tokenizer decodes an incomplete character to
CONTEXT_TOKENS = 8  # of the prompt, so that the reply's first token is decoded as a continuation


class TextTokens:
    """The model's tokenizer, as the engine uses it."""

    def __init__(self, tokenizer: Any, end_tokens: Collection[int] = ()) -> None:
        """`tokenizer` is transformers'; without `end_tokens` its own end of sequence counts."""
        self._tokenizer = tokenizer
        # The Rust tokenizer itself, where there is one: fast, and it takes calls from any thread.
        self._backend = getattr(tokenizer, "backend_tokenizer", None)
        own_end = tokenizer.eos_token_id
        self.end_tokens = frozenset(end_tokens) or frozenset(() if own_end is None else (own_end,))
        added = cast("Mapping[int, Any]", getattr(tokenizer, "added_tokens_decoder", {}))
        self._special = {str(t.content): number for number, t in added.items() if t.special}
        self._beginning = self._beginning_token()
        # For an empty prompt: a model needs a token to go on from.
        self._any_token = next((t for t in (tokenizer.bos_token_id, own_end) if t is not None), 0)

    def end_tokens_for(self, stops: Sequence[str]) -> frozenset[int]:
        """What ends a reply with these stop strings: a special token is never in its text.

        So a stop that is one, but for white space around it, is looked for among the tokens.
        """
        named = {self._special[found] for stop in stops if (found := stop.strip()) in self._special}
        return self.end_tokens | named

    def encode_prompt(self, text: str) -> list[int]:
        """A whole prompt. Begins with the model's BOS if its tokenizer does so, never with two."""
        return self.as_prompt(self._encode(text))

    def as_prompt(self, tokens: list[int]) -> list[int]:
        """A prompt's own tokens with the model's BOS, as :meth:`encode_prompt` gives them."""
        tokens = list(tokens)
        if self._beginning is not None and tokens[:1] != [self._beginning]:
            tokens.insert(0, self._beginning)
        return tokens or [self._any_token]

    @property
    def tells_places(self) -> bool:
        """Whether :meth:`encode_with_places` can be used: for BPE in Rust, and nothing else."""
        return type(getattr(self._backend, "model", None)).__name__ == "BPE"

    def encode_with_places(self, text: str, last: int) -> tuple[list[int], list[int]]:
        """The tokens of a text, and at which characters the `last` of them begin."""
        encoding = cast("Any", self._backend).encode(text, add_special_tokens=False)
        tokens = cast("list[int]", encoding.ids)
        first = max(len(tokens) - last, 0)
        places = [encoding.token_to_chars(index) for index in range(first, len(tokens))]
        return tokens, [cast("int", place[0]) for place in places]

    def count(self, texts: Sequence[str]) -> tuple[int, ...]:
        """Tokens of each text, without any BOS."""
        if self._backend is None:
            return tuple(len(self._encode(text)) for text in texts)
        found = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return tuple(len(encoding.ids) for encoding in found)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of some tokens, special ones left out."""
        if self._backend is not None:
            return cast(str, self._backend.decode(list(tokens), skip_special_tokens=True))
        text = self._tokenizer.decode(
            list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return cast(str, text)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """What each token adds to a text. Made once, which takes a moment: not on the event loop.

        A token's text may depend on what stands before it, so each is decoded after another one.
        """
        before = self._encode("a")[-1:]
        count = len(self._tokenizer)
        rows = [[*before, token] for token in range(count)]
        if self._backend is not None:
            texts = cast("list[str]", self._backend.decode_batch(rows, skip_special_tokens=True))
        else:
            texts = [self.decode(row) for row in rows]
        names = cast("list[str | None]", self._tokenizer.convert_ids_to_tokens(list(range(count))))
        known = len(self.decode(before))
        return Vocabulary(
            [piece_of(name or "", text[known:]) for name, text in zip(names, texts, strict=True)]
        )

    def _encode(self, text: str) -> list[int]:
        if self._backend is not None:
            encoding = self._backend.encode(text, add_special_tokens=False)
            return cast("list[int]", list(encoding.ids))
        return cast("list[int]", list(self._tokenizer.encode(text, add_special_tokens=False)))

    def _beginning_token(self) -> int | None:
        first = cast("list[int]", self._tokenizer.encode("a"))[:1]
        beginning = cast("int | None", self._tokenizer.bos_token_id)
        return beginning if beginning is not None and first == [beginning] else None


class TextStream:
    """Tokens in, text out, whole characters only.

    A token's text depends on what stands before it, so the tokens since the last whole text are
    decoded with it and without the newest one; the difference is new.
    """

    def __init__(self, tokens: TextTokens, prompt: Sequence[int]) -> None:
        """`prompt` is what the reply continues."""
        self._decode = tokens.decode
        self._window = list(prompt[-CONTEXT_TOKENS:])
        self._told = len(self._window)  # tokens of the window whose text has been given
        self._told_text = self._decode(self._window)

    def decode(self, token: int) -> str:
        """The text that is certain now that `token` has come."""
        self._window.append(token)
        text = self._decode(self._window)
        if text.endswith(REPLACEMENT) or len(text) <= len(self._told_text):
            return ""
        new = text[len(self._told_text) :]
        self._window = self._window[self._told :]
        self._told = len(self._window)
        self._told_text = self._decode(self._window)
        return new

    def flush(self) -> str:
        """The reply has ended: what was held back, but for half a character at its end."""
        text = self._decode(self._window).rstrip(REPLACEMENT)
        return text[len(self._told_text) :]
