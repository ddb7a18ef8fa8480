"""What a search has drawn and run, for a person (T1)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from flaxlayer_testing.report.report import Report, Status

__all__ = ["Ending", "Statistics", "statistics_text"]


class Ending(StrEnum):
    """Why a search ended."""

    ASKED = "as many modules as were asked for"
    FAILURE = "a failure"
    TIME = "the time is over"
    EXHAUSTED = "no new module is drawn any more"


@dataclass
class Statistics:
    """What a search has drawn.

    Attributes:
        distinct: The modules that were checked, all of them different.
        repeats: How often a module was drawn again, and not checked again.
        kept: How many of the modules failed in an earlier search.
        tries: How many modules were tried to find smaller ones.
        ending: Why it ended.
    """

    distinct: int = 0
    repeats: int = 0
    kept: int = 0
    tries: int = 0
    ending: Ending = Ending.ASKED


def statistics_text(
    statistics: Statistics,
    reports: Sequence[Report],
    features: Iterable[str],
    unit: str = "modules",
) -> str:
    """Returns what a search has drawn, and what became of its checks.

    Args:
        statistics: Of the search.
        reports: One for each module that was checked.
        features: All features that a module can show.
        unit: What was checked.

    Returns:
        Lines of text.
    """
    drawn = statistics.distinct - statistics.kept + statistics.repeats
    share = f"{statistics.repeats / drawn:.0%}" if drawn else "0%"
    head = [
        f"{drawn} {unit} drawn, {statistics.repeats} of them again ({share}); "
        f"{statistics.kept} kept from earlier searches; {statistics.tries} tried to shrink",
        f"Ended: {statistics.ending}",
        "",
    ]
    return "\n".join([*head, *_checks(reports), "", *_features(reports, features)])


def _checks(reports: Sequence[Report]) -> Iterator[str]:
    counts: defaultdict[str, Counter[Status]] = defaultdict(Counter)
    reasons: defaultdict[str, Counter[str]] = defaultdict(Counter)
    seconds: defaultdict[str, float] = defaultdict(float)
    for report in reports:
        for entry in report.entries:
            counts[entry.check][entry.status] += 1
            seconds[entry.check] += entry.seconds
            if entry.status is Status.SKIPPED:
                reasons[entry.check][entry.message] += 1
    width = max(map(len, counts), default=5)
    total = sum(seconds.values()) or 1.0
    yield f"{'check':{width}}     ran  failed  skipped  seconds  share  most often skipped because"
    for name in sorted(seconds, key=lambda name: -seconds[name]):
        skipped, failed = counts[name][Status.SKIPPED], counts[name][Status.FAILED]
        ran, why = counts[name].total() - skipped, next(iter(reasons[name].most_common(1)), ("",))
        figures = (
            f"{ran:7} {failed:7} {skipped:8} {seconds[name]:8.1f} {seconds[name] / total:6.0%}"
        )
        yield f"{name:{width}} {figures}  {why[0]}".rstrip()


def _features(reports: Sequence[Report], features: Iterable[str]) -> Iterator[str]:
    shown = Counter(feature for report in reports for feature in report.features)
    known = list(features)
    width = max(map(len, known), default=7)
    yield f"{'feature':{width}} modules  share"
    for name in sorted(known, key=lambda name: (-shown[name], name)):
        if shown[name]:
            yield f"{name:{width}} {shown[name]:7} {shown[name] / len(reports):6.1%}"
    never = [name for name in known if not shown[name]]
    if never:
        yield f"Never drawn: {', '.join(never)}"
