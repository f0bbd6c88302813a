"""Attention to a condition that stays the same through all sampling steps: its keys and values, computed once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diffusers.models.attention_processor import Attention
    from torch import Tensor
    from torch.nn import Module


class ConditionCache:
    """Keys and values of a condition at every attention to it, projected before the steps and not in each of them.

    Without this, a fifth of the time of SemantiCodec's U-Net goes into projecting the condition again. ``keep`` is
    called outside the model, so that its forward stores nothing and stays one graph for ``torch.compile``.
    """

    def __init__(self, unet: Module, width: int) -> None:
        """Serve every attention of ``unet`` to a condition of ``width`` channels."""
        self._attentions = [
            module
            for name, module in unet.named_modules()
            if name.endswith("attn2") and module.to_k.in_features == width
        ]
        for attention in self._attentions:
            attention.set_processor(KeptAttention())

    def __len__(self) -> int:
        return len(self._attentions)

    def keep(self, condition: Tensor) -> None:
        """Project ``condition`` ``[n, tokens, width]``, unless it is the tensor that is kept."""
        for attention in self._attentions:
            if attention.processor.condition is not condition:
                attention.processor.keep(attention, condition)

    def kept(self) -> list[Tensor]:
        """All keys and values ``[n, heads, tokens, d]`` that are kept."""
        return [tensor for attention in self._attentions for tensor in attention.processor.projected or ()]

    def forget(self) -> None:
        """Free what is kept."""
        for attention in self._attentions:
            attention.processor.forget()


class KeptAttention:
    """An attention processor that takes keys and values of the condition it keeps, and projects any other.

    The numbers are those of diffusers' ``AttnProcessor2_0``.
    """

    def __init__(self) -> None:
        self.condition: Tensor | None = None
        self.projected: tuple[Tensor, Tensor] | None = None

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **_: object,
    ) -> Tensor:
        """``softmax(q k / sqrt(d)) v`` and its projection; masks are not used by the systems that keep conditions."""
        from torch.nn.functional import scaled_dot_product_attention

        if attention_mask is not None or encoder_hidden_states is None:
            raise ValueError("only conditions without a mask are kept")
        if self.projected is not None and encoder_hidden_states is self.condition:
            keys, values = self.projected
        else:
            keys, values = _projected(attn, encoder_hidden_states)
        mixed = scaled_dot_product_attention(_heads(attn, attn.to_q(hidden_states)), keys, values)
        mixed = mixed.transpose(1, 2).flatten(2)
        projected: Tensor = attn.to_out[1](attn.to_out[0](mixed))
        return projected

    def keep(self, attn: Attention, condition: Tensor) -> None:
        """Project ``condition`` for the calls to come."""
        self.condition, self.projected = condition, _projected(attn, condition)

    def forget(self) -> None:
        """Free what is kept."""
        self.condition = self.projected = None


def _projected(attn: Attention, condition: Tensor) -> tuple[Tensor, Tensor]:
    return _heads(attn, attn.to_k(condition)), _heads(attn, attn.to_v(condition))


def _heads(attn: Attention, values: Tensor) -> Tensor:
    """``[n, length, heads * d]`` as ``[n, heads, length, d]``."""
    return values.view(len(values), values.shape[1], attn.heads, -1).transpose(1, 2)
