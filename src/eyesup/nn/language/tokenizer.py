"""Loading tokenisers and adding special tokens to them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eyesup.types import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def load_tokenizer(source: str | Path, special_tokens: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """A fast tokeniser from a local folder, a hub name, or a ``.gguf`` file, with `special_tokens` as one id each.

    It gets a padding token if it has none. DataError names a source that cannot be read.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    path = Path(source)
    try:
        if path.suffix == ".gguf":
            tokenizer: Any = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
        elif (path / "tokenizer.json").is_file():
            tokenizer = PreTrainedTokenizerFast.from_pretrained(str(path))
        else:
            tokenizer = AutoTokenizer.from_pretrained(str(source))
    except (OSError, ValueError) as error:
        raise DataError(
            f"tokeniser {source}: cannot be loaded ({error}); give a folder that holds tokenizer.json"
        ) from error
    add_special_tokens(tokenizer, special_tokens)
    return tokenizer


def add_special_tokens(tokenizer: PreTrainedTokenizerFast, tokens: Sequence[str]) -> int:
    """Give every token an id of its own; returns how many were new. The model's embeddings must then be resized."""
    known = tokenizer.get_vocab()
    new = [token for token in tokens if token not in known]
    tokenizer.add_tokens(new, special_tokens=True)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    return len(new)
