"""AudioLDM, text to audio; what it shares with its zero-shot tasks is in ``systems._audioldm``."""

from systems._audioldm import AudioLDM

__all__ = ["AudioLDM"]
