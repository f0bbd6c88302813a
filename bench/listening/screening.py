"""Which listeners, pages and sliders do not count, by which rule, and for what reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from ldmbench.errors import BenchError
from ldmbench.listening.votes import Ratings, Role, Vote
from ldmbench.names import some

#: Sets of rules: those of ITU-R BS.1534-3; MPEG's, which are stricter; the one of SemantiCodec's paper; none. ``auto``:
#: BS.1534's for MUSHRA with a hidden reference on a scale of 0 to 100, else none.
Rules = Literal["auto", "bs1534", "mpeg", "semanticodec", "none"]

#: Methods that have a hidden reference which is to be recognised; in others it is one sound of many.
_MUSHRA = ("mushra", "mushra-1s")

#: A hidden reference below so many points, or a mid anchor above, was not recognised.
RECOGNISED = 90.0

#: Share of the items, in percent, on which a listener may fail.
ALLOWED_PERCENT = 15

#: Share of the listeners, in percent, above which an item and not the listener is suspect.
SUSPECT_PERCENT = 25

#: Seconds a slider takes at least, where the length of the sounds is not known.
SECONDS_A_SLIDER = 1.0


@dataclass(frozen=True)
class Decision:
    """One line of the log.

    Attributes:
        subject: ``listener``, ``page`` or ``item``.
        name: Which one; a page is ``LISTENER, ITEM``.
        rule: Short name of the rule.
        reason: What was counted.
        excluded: Whether its ratings are left out; a flag only says to look.
    """

    subject: str
    name: str
    rule: str
    reason: str
    excluded: bool


@dataclass(frozen=True)
class Screening:
    """Ratings after screening.

    Attributes:
        ratings: Those that count.
        before: All.
        log: Every exclusion and every flag.
        rules: What was applied, in words.
    """

    ratings: Ratings
    before: Ratings
    log: tuple[Decision, ...]
    rules: tuple[str, ...]

    @property
    def excluded(self) -> tuple[str, ...]:
        """Listeners that do not count."""
        names = dict.fromkeys(item.name for item in self.log if item.subject == "listener" and item.excluded)
        return tuple(names)

    @property
    def counts(self) -> dict[str, tuple[int, int]]:
        """Listeners, items and ratings, before and after."""
        before, after = self.before, self.ratings
        return {
            "listeners": (len(before.listeners), len(after.listeners)),
            "items": (len(before.items), len(after.items)),
            "ratings": (len(before.rows), len(after.rows)),
        }


Page = dict[str, float]


def screen(
    ratings: Ratings, rules: Rules = "auto", threshold: float = RECOGNISED, seconds: float | None = None
) -> Screening:
    """Apply the rules to a test's ratings of one scale.

    Whatever the rules, a page on which nothing was rated is no page: all its sliders at one score, or recorded as not
    moved. A listener with more than 15 % of such pages goes.

    Args:
        ratings: The ratings.
        rules: Which rules.
        threshold: Points that the hidden reference must have.
        seconds: Length of the sounds, for the flag of pages on which not every one can have been heard.

    Raises:
        BenchError: If the rules need a hidden reference and there is none, or a scale of 0 to 100 and it is another, or
            no listener is left.

    Source: ITU-R BS.1534-3, post-screening of subjects; MPEG's variant; SemantiCodec (arXiv 2405.00233), section IV-C3.
    """
    reference, mid = ratings.named("reference"), ratings.named("mid anchor")
    words = [f"a page with all sliders at one score or unmoved is none; more than {ALLOWED_PERCENT} % of them exclude"]
    if rules == "auto":
        usual = reference is not None and (ratings.low, ratings.high) == (0, 100)
        rules = "bs1534" if usual and ratings.method in _MUSHRA else "none"
        if rules == "none":
            words.append("no other: BS.1534's rules are for MUSHRA with a hidden reference on a scale of 0 to 100")
    if rules != "none":
        if reference is None:
            raise BenchError(
                "screening needs a hidden reference",
                f"the conditions are {', '.join(ratings.conditions)}",
                "name it with --systems (column role), or say --screen none",
            )
        if (ratings.low, ratings.high) != (0, 100):
            raise BenchError(
                f"the rules of screening are for 0 to 100, not for {ratings.low:g} to {ratings.high:g}",
                fix="say --screen none",
            )
    pages = _pages(ratings)
    log = _empty_pages(ratings, pages)
    log += _flags(ratings, pages, seconds)
    if rules == "bs1534" and reference is not None:
        log += _rule_a(pages, reference, threshold)
        words.append(f"A: hidden reference below {threshold:g} on more than {ALLOWED_PERCENT} % of the items")
        if mid is not None:
            log += _rule_b(pages, mid)
            words.append(
                f"B: mid anchor above {RECOGNISED:g} on more than {ALLOWED_PERCENT} % of the items, without items on "
                f"which more than {SUSPECT_PERCENT} % of the listeners did so"
            )
        else:
            words.append("B: not applied, the test has no mid anchor")
    elif rules == "mpeg" and reference is not None:
        log += _mpeg(ratings, pages, reference, threshold)
        words.append(f"MPEG: hidden reference below {threshold:g}, or anchors not in order, on any item")
    elif rules == "semanticodec" and reference is not None:
        log += _by_page(pages, reference, threshold)
        words.append(f"pages on which the hidden reference has less than {threshold:g} points")
    return _applied(ratings, tuple(log), tuple(words))


def _applied(ratings: Ratings, log: tuple[Decision, ...], words: tuple[str, ...]) -> Screening:
    gone = {item.name for item in log if item.excluded and item.subject == "listener"}
    pages = {item.name for item in log if item.excluded and item.subject == "page"}
    kept = tuple(row for row in ratings.rows if row.listener not in gone and _page_name(row) not in pages)
    if not kept:
        raise BenchError(
            "no listener is left after screening",
            "; ".join(f"{item.name}: {item.reason}" for item in log if item.excluded)[:400],
            "look at the ratings, or say --screen none",
        )
    return Screening(replace(ratings, rows=kept), ratings, log, words)


def _page_name(vote: Vote) -> str:
    return f"{vote.listener}, {vote.item}"


def _pages(ratings: Ratings) -> dict[str, dict[str, Page]]:
    """Listener -> item -> condition -> score."""
    pages: dict[str, dict[str, Page]] = {}
    for row in ratings.rows:
        if not row.repeat:
            pages.setdefault(row.listener, {}).setdefault(row.item, {})[row.system] = row.score
    return pages


def _more_than(count: int, total: int, percent: int) -> bool:
    """Whether ``count`` of ``total`` is more than so many percent, exactly: 3 of 20 are not more than 15."""
    return 100 * count > percent * total


def _rule_a(pages: Mapping[str, Mapping[str, Page]], reference: str, threshold: float) -> list[Decision]:
    log = []
    for listener, items in pages.items():
        scores = {item: page[reference] for item, page in items.items() if reference in page}
        low = {item: score for item, score in scores.items() if score < threshold}
        if _more_than(len(low), len(scores), ALLOWED_PERCENT):
            reason = f"hidden reference below {threshold:g} on {len(low)} of {len(scores)} items ({_points(low)})"
            log.append(Decision("listener", listener, "BS.1534 A", reason, True))
    return log


def _rule_b(pages: Mapping[str, Mapping[str, Page]], mid: str) -> list[Decision]:
    heard: dict[str, list[bool]] = {}
    for items in pages.values():
        for item, page in items.items():
            if mid in page:
                heard.setdefault(item, []).append(page[mid] > RECOGNISED)
    suspect = {item for item, high in heard.items() if _more_than(sum(high), len(high), SUSPECT_PERCENT)}
    log = [
        Decision(
            "item", item, "BS.1534 B", f"mid anchor above {RECOGNISED:g} for {sum(heard[item])} of {len(heard[item])} "
            "listeners: not counted against any", False,
        )
        for item in heard if item in suspect
    ]  # fmt: skip
    for listener, items in pages.items():
        scores = {item: page[mid] for item, page in items.items() if mid in page and item not in suspect}
        high = {item: score for item, score in scores.items() if score > RECOGNISED}
        if _more_than(len(high), len(scores), ALLOWED_PERCENT):
            reason = f"mid anchor above {RECOGNISED:g} on {len(high)} of {len(scores)} items ({_points(high)})"
            log.append(Decision("listener", listener, "BS.1534 B", reason, True))
    return log


def _mpeg(
    ratings: Ratings, pages: Mapping[str, Mapping[str, Page]], reference: str, threshold: float
) -> list[Decision]:
    log = []
    for listener, items in pages.items():
        low = {item: page[reference] for item, page in items.items() if page.get(reference, threshold) < threshold}
        inverted = [item for item, page in items.items() if _inverted(ratings, page)]
        if low:
            reason = f"hidden reference below {threshold:g} on {len(low)} of {len(items)} items ({_points(low)})"
            log.append(Decision("listener", listener, "MPEG", reason, True))
        elif inverted:
            log.append(Decision("listener", listener, "MPEG", f"anchors not in order on {some(inverted)}", True))
    return log


def _by_page(pages: Mapping[str, Mapping[str, Page]], reference: str, threshold: float) -> list[Decision]:
    return [
        Decision("page", f"{listener}, {item}", "SemantiCodec", f"hidden reference {page[reference]:g}", True)
        for listener, items in pages.items()
        for item, page in items.items()
        if reference in page and page[reference] < threshold
    ]


def _empty_pages(ratings: Ratings, pages: Mapping[str, Mapping[str, Page]]) -> list[Decision]:
    """Pages without a rating on them, and listeners with too many of them."""
    unmoved: dict[str, list[bool]] = {}
    for row in ratings.rows:
        if row.touched is not None:
            unmoved.setdefault(_page_name(row), []).append(not row.touched)
    log = []
    for listener, items in pages.items():
        empty = {}
        for item, page in items.items():
            name = f"{listener}, {item}"
            if all(unmoved.get(name, [False])):
                empty[name] = "no slider was moved"
            elif len(page) > 2 and len(set(page.values())) == 1:
                empty[name] = f"all {len(page)} sliders at {next(iter(page.values())):g}"
        if _more_than(len(empty), len(items), ALLOWED_PERCENT):
            reason = f"nothing rated on {len(empty)} of {len(items)} pages: {next(iter(empty.values()))}"
            log.append(Decision("listener", listener, "untouched", reason, True))
        else:
            log += [Decision("page", name, "untouched", reason, True) for name, reason in empty.items()]
    return log


def _flags(ratings: Ratings, pages: Mapping[str, Mapping[str, Page]], seconds: float | None) -> list[Decision]:
    """What to look at: anchors above what they are worse than, and pages left before all could be heard."""
    log = []
    for listener, items in pages.items():
        inverted = [item for item, page in items.items() if _inverted(ratings, page)]
        if _more_than(len(inverted), len(items), ALLOWED_PERCENT):
            reason = f"an anchor above what it is worse than, on {len(inverted)} of {len(items)} items"
            log.append(Decision("listener", listener, "inverted anchors", f"{reason} ({some(inverted)})", False))
    low = ratings.named("low anchor") or ""
    for listener, items in pages.items():
        high = [item for item, page in items.items() if page.get(low, 0) > RECOGNISED]
        if _more_than(len(high), len(items), ALLOWED_PERCENT):
            reason = f"low anchor above {RECOGNISED:g} on {len(high)} of {len(items)} items ({some(high)})"
            log.append(Decision("listener", listener, "low anchor", reason, False))
    quick: dict[str, dict[str, float]] = {}
    for row in ratings.rows:
        page = pages.get(row.listener, {}).get(row.item, {})
        least = len(page) * (SECONDS_A_SLIDER if seconds is None else seconds)
        if row.seconds is not None and row.seconds < least:
            quick.setdefault(row.listener, {})[row.item] = row.seconds
    for listener, times in quick.items():
        shortest = min(times.values())
        reason = f"{len(times)} of {len(pages[listener])} pages left before all could be heard ({shortest:.1f} s)"
        log.append(Decision("listener", listener, "too fast", reason, False))
    return log


def _inverted(ratings: Ratings, page: Mapping[str, float]) -> bool:
    """Whether reference, mid anchor and low anchor, as far as they are there, are not in this order."""
    roles: tuple[Role, ...] = ("reference", "mid anchor", "low anchor")
    names = (ratings.named(role) for role in roles)
    scores = [page[name] for name in names if name is not None and name in page]
    return any(after > before for before, after in pairwise(scores))


def _points(scores: Mapping[str, float]) -> str:
    return some([f"{item}: {score:g}" for item, score in scores.items()])
