"""Whether the operator has the rights that it needs and no others, by what was handed in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from canarium.kube.kinds import TABLE

from testbed.rights.ledger import Page
from testbed.rights.requests import Refusal, Right

OF_PEOPLE = frozenset(
    Right(row.group, row.plural, verb)
    for row in TABLE
    if row.scope == "Opened"
    for verb in row.verbs
)
"""Not the chart's: whoever has a Secret for a metric or a notification opens that one to the
operator, by a Role of one's own."""


def find_problems(pages: Sequence[Page]) -> list[str]:
    """One sentence for each thing that is wrong; nothing when rights and needs are the same."""
    if not any(page.used for page in pages):
        return ["no request of the operator's was handed in, so nothing is shown"]
    used = {right for page in pages for right, _ in page.used}
    granted = {right for page in pages for right in page.granted}
    spared = {right for page in pages for right in page.spared}
    elsewhere = sorted(used - granted - spared - OF_PEOPLE)
    return [
        *_find_refused(pages),
        *_find_missed(pages),
        *(f"granted and never used: {right}" for right in _find_unused(pages, granted - used)),
        *(f"used, and not granted by the chart: {right}" for right in elsewhere),
    ]


def count_used(pages: Sequence[Page]) -> Counter[Right]:
    """How often each right was used."""
    counted: Counter[Right] = Counter()
    for page in pages:
        counted.update(dict(page.used))
    return counted


def _find_unused(pages: Sequence[Page], unseen: set[Right]) -> list[Right]:
    """What nothing used; unknown where a cluster (kind's) keeps no log."""
    return sorted(unseen) if all(page.audited for page in pages) else []


def _find_refused(pages: Sequence[Page]) -> list[str]:
    return [
        f"refused {times} times on {page.cluster}: {refusal}"
        for page in pages
        for refusal, times in page.refused
        if not _is_expected(page, refusal)
    ]


def _is_expected(page: Page, refusal: Refusal) -> bool:
    leaves = refusal.account in page.uninstalled
    return leaves or any(expected.covers(refusal) for expected in page.expected)


def _find_missed(pages: Sequence[Page]) -> list[str]:
    return [
        f"to be refused on {page.cluster} ({expected.why}) and never was: {expected.right}"
        f" in namespace {expected.namespace}"
        for page in pages
        for expected in page.expected
        if page.audited and not any(expected.covers(refusal) for refusal, _ in page.refused)
    ]
