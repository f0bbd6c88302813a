"""Tokenizers of text encoders: the official files', checked, or stand-ins for systems built without any."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ldmbench.errors import BenchError
from ldmbench.weights.tensors import short

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, RobertaTokenizer, T5Tokenizer

T = TypeVar("T", bound="PreTrainedTokenizerBase")

#: A tokenizer must know at least this part of the vocabulary its encoder was trained with.
_VOCABULARY = 0.99


def load_tokenizer(kind: type[T], folder: Path, name: str, vocabulary: int, positions: int) -> T:
    """The tokenizer in ``folder/name``, for an encoder with ``vocabulary`` embeddings and ``positions`` tokens.

    Without its files a tokenizer of transformers 5 is built all the same, knowing five tokens: the size is checked.

    Raises:
        BenchError: If files are missing, or the tokenizer does not know the encoder's vocabulary.
    """
    holder = folder / name
    complete = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("spiece.model",))
    if not any(all((holder / file).is_file() for file in files) for files in complete):
        raise BenchError(
            f"{folder} lacks {name or 'a tokenizer'}",
            f"{holder} holds none of {', '.join(' and '.join(files) for files in complete)}",
            "fetch it again or correct --weights",
        )
    try:
        tokenizer: T = kind.from_pretrained(holder, local_files_only=True)
    except Exception as error:
        raise BenchError(f"{name} in {folder} cannot be loaded", short(error), "fetch it again") from error
    if not _VOCABULARY * vocabulary <= len(tokenizer) <= vocabulary:
        raise BenchError(
            f"the tokenizer in {holder} is not the encoder's",
            f"it knows {len(tokenizer)} tokens, the encoder {vocabulary}",
            "use the official files",
        )
    tokenizer.model_max_length = min(tokenizer.model_max_length, positions)
    return tokenizer


def byte_tokenizer(positions: int = 512) -> RobertaTokenizer:
    """A RoBERTa tokenizer of single bytes, for systems that are built without any files."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import RobertaTokenizer

    symbols = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *sorted(ByteLevel.alphabet())]
    vocab = {symbol: index for index, symbol in enumerate(symbols)}
    return RobertaTokenizer(vocab=vocab, merges=[], model_max_length=positions)


def character_tokenizer(positions: int = 512) -> T5Tokenizer:
    """A T5 tokenizer of printable ASCII characters, for systems that are built without any files."""
    from transformers import T5Tokenizer

    characters = [chr(code) for code in range(33, 127)]
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((letter, -3.0) for letter in characters)]
    return T5Tokenizer(vocab=vocab, extra_ids=0, model_max_length=positions)
