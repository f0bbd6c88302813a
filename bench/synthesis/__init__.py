"""Built-in clips: speech, music and general sounds that are synthesised on first use.

The clips of every generator are described in one module (:mod:`bench.synthesis.recipe` names them); the lists beside
the cards in ``datasets/builtin-*`` pin the digest each clip has. ``python -m bench.synthesis REASON`` rewrites them.
"""

from bench.synthesis.cache import Materialised, materialise

__all__ = ["Materialised", "materialise"]
