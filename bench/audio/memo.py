"""What is computed of a sound once and kept with it: spectra of a reference serve every metric and system."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

from ldmbench.audio.sound import Audio

T = TypeVar("T")


#: Sounds longer than this many samples keep nothing, so that an hour of audio does not stay in memory as spectra.
LONGEST_KEPT = 60 * 48_000


_kept: WeakKeyDictionary[Audio, dict[Hashable, Any]] = WeakKeyDictionary()


def remember(sound: Audio, key: Hashable, make: Callable[[], T], small: bool = False) -> T:
    """``make()``, computed once per sound and key, and forgotten together with the sound.

    Metrics keep the spectra of a reference here: one clip's reference serves every metric and every system.
    ``make`` must not hold ``sound`` in what it returns, or neither would ever be freed. What is ``small`` however long
    the sound is, a few numbers, is kept of any sound.
    """
    if sound.length > LONGEST_KEPT and not small:
        return make()
    store = _kept.setdefault(sound, {})
    if key not in store:
        store[key] = make()
    return cast(T, store[key])
