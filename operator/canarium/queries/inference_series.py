"""Which of a server's series are inference, once a Prometheus has scraped them: PromQL's matchers.

Pure. Labels are a little different there: an empty one is none, and whoever scrapes may have given
a series a label of the same name, and renamed the server's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from canarium.queries.profiles import Profile
from canarium.queries.promql import escape

# Patterns of users' own are Python's. RE2 never looks back, so it has no atomic groups.
_PYTHONS_OWN = re.compile(r"\\.|\(\?>", re.DOTALL)
_IN_RE2 = {r"\Z": r"\z", "(?>": "(?:"}

_QUOTE = '"'

Matchers = Sequence[str]
'Such as `path!=""`: all of them have to match.'


@dataclass(frozen=True, slots=True)
class Selection:
    """A union of series with a route that counts, and one of those without any.

    The latter count in full, but PromQL cannot tell them from those whose route is empty, which
    don't: where a server has both, they are few beside the others.
    """

    routed: tuple[Matchers, ...]
    unrouted: tuple[Matchers, ...] = ()


def select_inference(profile: Profile) -> Selection:
    """The series of one counter or histogram of a profile that are inference."""
    own = [f'{name}=~"{_quote(pattern)}"' for name, pattern in profile.labels]
    if profile.methods:
        names = "|".join((*map(re.escape, profile.methods), ""))
        own.append(f'method=~"{escape(names, _QUOTE)}"')
    labels = profile.route_labels
    if profile.routes:
        routed = [
            _match_first(labels[:index], label, profile) for index, label in enumerate(labels)
        ]
        absent = [f'{label}=""' for label in labels]
        return Selection(tuple([*own, *each] for each in routed), ([*own, *absent],))
    if profile.not_routes is None:
        return Selection((own,))
    unexcluded = _list_unexcluded(labels, _search(profile.not_routes))
    return Selection(tuple([*own, *each] for each in unexcluded))


def _match_first(before: Sequence[str], label: str, profile: Profile) -> list[str]:
    """The first label of the route that there is has to have a route that counts."""
    absent = [f'{name}=""' for name in before]
    wanted = [f'{label}!=""', f'{label}=~"{_search(profile.routes)}"']
    if profile.not_routes is not None:
        wanted.append(f'{label}!~"{_search(profile.not_routes)}"')
    return [*absent, *wanted]


def _list_unexcluded(labels: Sequence[str], excluded: str) -> list[list[str]]:
    """No label may hold a route that is excluded.

    Prometheus Operator has a label `endpoint` of its own, a port's name such as metrics, and
    renames a server's. What has no slash in it is not taken for a route there.
    """
    others = [f'{label}!~"{excluded}"' for label in labels if label != "endpoint"]
    if "endpoint" not in labels:
        return [others]
    others.append(f'exported_endpoint!~"{excluded}"')
    return [
        [*others, f'endpoint!~"{excluded}"'],
        [*others, 'endpoint!~".*/.*"', f'endpoint=~"{excluded}"'],
    ]


def _search(pattern: str) -> str:
    """PromQL's patterns have to match a value whole, those of profiles are searched for in it."""
    return _quote(f".*(?:{pattern}).*")


def _quote(pattern: str) -> str:
    """A pattern of a profile in RE2's spelling, as it is written in a string."""
    in_re2 = _PYTHONS_OWN.sub(lambda found: _IN_RE2.get(found[0], found[0]), pattern)
    return escape(in_re2, _QUOTE)
