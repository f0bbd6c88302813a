"""``torch.compile`` for the network that runs in every sampling step; refused at once where it cannot work."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from ldmbench.errors import BenchError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


def compiled(unet: Module, device: str) -> None:
    """Let ``unet`` be compiled at its first call; class and configuration stay.

    It has to become one graph: whatever cannot be traced, and more shapes than torch keeps graphs for, are errors, not
    a silent return to what was to be avoided.

    Raises:
        BenchError: If nothing can be compiled here. Code for a CPU needs a C++ compiler.
    """
    import torch

    compiler = os.environ.get("CXX", "g++")
    if device == "cpu" and shutil.which(compiler) is None:
        raise BenchError(
            "compile=true needs a C++ compiler",
            f"{compiler} not found",
            "install one, name it in $CXX, or leave it off",
        )
    try:
        torch.compile(lambda value: 2 * value.sin())(torch.ones(16, device=device))
    except Exception as error:  # the compiler's, the linker's, Triton's, ...
        reason = " ".join(str(error).split())[:300]
        raise BenchError(
            "compile=true does not work here", reason, "install what is missing, or leave it off"
        ) from error
    unet.compile(fullgraph=True, dynamic=False)


def any_batch(unet: Module, *tensors: Tensor) -> None:
    """Where ``unet`` is compiled: ``tensors`` that it is about to see may be of any batch size in the same graph.

    Otherwise every number of windows would be compiled anew, and a second graph for a size would round differently
    depending on what came before.
    """
    if unet._compiled_call_impl is None:
        return
    from torch._dynamo import maybe_mark_dynamic

    for tensor in tensors:
        maybe_mark_dynamic(tensor, 0)
