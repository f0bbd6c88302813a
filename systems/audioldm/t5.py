"""Prompts through FLAN-T5: hidden states and mask, those of the negative prompt first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import T5EncoderModel, T5Tokenizer


def encoded(
    encoder: T5EncoderModel, tokenizer: T5Tokenizer, prompts: Sequence[str], negative: str | None
) -> tuple[Tensor, Tensor]:
    """Hidden states ``[n, tokens, width]`` of the prompts and their mask, padded to the longest.

    With a ``negative`` prompt, which is padded to the same length, its states come first: ``[2 n, tokens, width]``.

    Source: declare-lab/tango, ``models.py``, ``encode_text_classifier_free``.
    """
    import torch

    def encode(texts: list[str], padding: bool | str, limit: int) -> tuple[Tensor, Tensor]:
        tokens = tokenizer(texts, max_length=limit, padding=padding, truncation=True, return_tensors="pt")
        tokens = tokens.to(encoder.device)
        states = encoder(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask)[0]
        return states, tokens.attention_mask == 1

    text, mask = encode(list(prompts), True, tokenizer.model_max_length)
    if negative is None:
        return text, mask
    without, hidden = encode([negative] * len(prompts), "max_length", text.shape[1])
    return torch.cat([without, text]), torch.cat([hidden, mask])


def prompt_facts(tokenizer: T5Tokenizer, prompt: str, untrained: bool) -> dict[str, object]:
    """What is recorded about a clip: whether its prompt was cut, and which tokenizer read it."""
    facts: dict[str, object] = {}
    if untrained:
        facts["tokenizer"] = "characters, not the official one"
    count = len(tokenizer(prompt).input_ids)
    if count > tokenizer.model_max_length:
        facts["prompt_cut"] = f"{count} tokens, {tokenizer.model_max_length} are read"
    return facts
