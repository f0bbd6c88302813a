"""Built-in clips: speech, music and general sounds that are synthesised on first use.

The clips of every generator are described in one module (:mod:`ldmbench.synthesis.recipe` names them); the lists beside
the cards in ``datasets/builtin-*`` pin the digest each clip has. ``python -m ldmbench.synthesis REASON`` rewrites them.
"""

from ldmbench.synthesis.cache import Materialised, materialise

__all__ = ["Materialised", "materialise"]
