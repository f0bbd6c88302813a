"""Multiply-accumulates of what a system computes in torch, counted while it works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def count(work: Callable[[], T]) -> tuple[int, T]:
    """Multiply-accumulates of torch's matrix products, convolutions and attention in ``work``, and what it returns.

    Half of the operations that ``FlopCounterMode`` counts. It does not see recurrent layers, which oneDNN and cuDNN
    compute in one piece: those of modules are added from their sizes. Nothing else counts: no activation, no norm, no
    Fourier transform, no search of a codebook that is not written as a product, and nothing outside torch.

    Source: ``torch.utils.flop_counter``; a layer of an LSTM is 4 h (in + h) a step, of a GRU 3 h (in + h).
    """
    from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
    from torch.utils.flop_counter import FlopCounterMode

    added = 0
    seen: list[int] = []
    with FlopCounterMode(display=False) as counter:

        def before(module: Any, _: Any) -> None:
            if _is_recurrent(module):
                seen.append(counter.get_total_flops())

        def after(module: Any, inputs: Any, __: Any) -> None:
            nonlocal added
            # Where it was computed product by product it was counted already.
            if _is_recurrent(module) and counter.get_total_flops() == seen.pop():
                added += _recurrent(module, inputs[0])

        hooks = [register_module_forward_pre_hook(before), register_module_forward_hook(after)]
        try:
            result = work()
        finally:
            for hook in hooks:
                hook.remove()
        total = counter.get_total_flops()
    return total // 2 + added, result


def _is_recurrent(module: Any) -> bool:
    from torch.nn import RNNBase

    return isinstance(module, RNNBase)


def _recurrent(module: Any, inputs: Any) -> int:
    """Multiply-accumulates of a recurrent module on ``inputs``: every weight matrix once a step of each sequence."""
    data = getattr(inputs, "data", inputs)
    # A packed sequence has its steps in one axis; a tensor [.., .., features] in two.
    steps = int(inputs.data.shape[0]) if hasattr(inputs, "batch_sizes") else int(data.numel() // data.shape[-1])
    weights = sum(value.numel() for name, value in module.named_parameters() if name.startswith("weight"))
    return int(steps * weights)
