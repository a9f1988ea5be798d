"""Who gets requests: the router in use, what lives, what is meant, and whether that is so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from canarium.core.names import REVISION_LABEL
from canarium.core.spec import Protocol, Traffic
from canarium.core.status import RevisionStatus, Status
from canarium.rollout.situation.seen import Seen
from canarium.rollout.situation.stages import is_at_rest, rollout_of
from canarium.rollout.situation.steps import Steps
from canarium.routing import (
    ROUTERS,
    Choice,
    Router,
    Split,
    Verification,
    choose_router,
    find_router,
)
from canarium.routing.base import find_service, is_current, read_selector
from canarium.routing.definitions import find_fields

_AS_BEGUN = "as when the rollout began"


@dataclass(eq=False)
class SharedTraffic:
    """The facet `Situation.traffic`."""

    seen: Seen
    status: Status
    steps: Steps

    @property
    def router(self) -> Router:
        """The router in use; another one named in the spec waits until nothing is under way."""
        return ROUTERS[self.choice.name]

    @cached_property
    def choice(self) -> Choice:
        """Its name, as in `Status.router`, and why it is this one.

        What was decided; where nothing was yet, what the spec asks for. Where neither is known,
        what lives: nothing is written then, and who is routed can be read.
        """
        status, stated, observed = self.status, self.seen.stated_traffic, self.seen.observed
        chosen = choose_router(stated, observed, status.router) if stated else None
        if status.router in ROUTERS and (status.traffic is not None or observed.model.spec is None):
            follows = chosen is not None and chosen.name == status.router and is_at_rest(status)
            return chosen if chosen and follows else Choice(status.router, _AS_BEGUN)
        live = "what is routed, is routed so"
        return chosen or Choice(find_router(observed.model.meta.name, observed), live)

    @property
    def in_force(self) -> Traffic | None:
        """Gateways, host names and paths in force, as decided (`decide.traffic`); None if unknown.

        They are never read from the live route, which anybody may have edited.
        """
        return self.status.traffic or self.seen.stated_traffic

    @property
    def protocol(self) -> Protocol:
        """What callers speak; HTTP where nothing is known of them yet."""
        return self.in_force.protocol if self.in_force else "HTTP"

    # What lives

    @property
    def live_weights(self) -> Mapping[str, int]:
        """The revisions that the live rules name, with their weights.

        While another router takes over, what the one before still names counts too.
        """
        return self.seen.once(("live", self.choice.name), self._read_live_weights)

    def _read_live_weights(self) -> Mapping[str, int]:
        weights = dict(self.seen.rules(self.choice.name))
        for name, router in ROUTERS.items():
            if router is not self.router and (router.route_kinds or not weights):
                for revision, weight in self.seen.rules(name).items():
                    weights.setdefault(revision, weight)
        return weights

    def live_share(self, revision: str) -> int:
        """The percentage that a revision gets by the live rules, whatever is intended."""
        weights = self.seen.rules(self.choice.name)
        total = sum(weights.values())
        return round(100 * weights.get(revision, 0) / total) if total else 0

    def written_share(self, part: RevisionStatus) -> int:
        """What of the share that is meant a revision has by the live rules already, in percent.

        A raise may still be unwritten. What goes beyond is no wish of ours; neither are rules that
        send nobody anywhere.
        """
        if not any(self.live_weights.values()):
            return part.weight
        return min(part.weight, self.live_share(part.revision))

    def is_raised(self, part: RevisionStatus) -> bool:
        """Whether a revision is to get more than the live rules give it."""
        if part.weight > self.live_share(part.revision):
            return True
        return part.is_routed and part.revision not in self.live_weights

    # What is meant

    @cached_property
    def split(self) -> Split | None:
        """How traffic should be shared by what status says; None while nothing is routed."""
        status, traffic, canary = self.status, self.in_force, self.status.canary
        # Oldest first, so that a promotion by itself changes nothing of the route.
        oldest_first = (status.previous, status.stable, canary)
        parts = [part for part in oldest_first if part and part.weight > 0]
        if not parts or status.stable is None or traffic is None:
            return None
        beside = canary if canary and (canary.headers or canary.mirror) else None
        return Split(
            model=self.seen.observed.model.meta.name,
            namespace=self.seen.observed.model.meta.namespace,
            traffic=traffic,
            weights=tuple((part.revision, part.weight) for part in parts),
            primary=self._find_primary(parts, status.stable),
            canary=beside.revision if beside else "",
            headers=beside.headers if beside else (),
            mirror=beside.mirror or 0 if beside else 0,
            sticky=canary.sticky if canary else None,
            fields=find_fields(traffic, self.seen.observed),
        )

    def _find_primary(self, parts: list[RevisionStatus], stable: RevisionStatus) -> str:
        """Whom callers in the cluster reach: stable, but while it cannot carry all of them yet.

        A Service cannot be shared: it turns with the closing step, whatever that holds back, and
        going back when the last weight does.
        """
        state, newest = rollout_of(self.status).state, parts[-1].revision
        closing = state == "Shifting" and self.steps.is_closing
        whole = parts[-1].weight >= self.steps.current.weight  # less in place, until the last pods
        if stable not in parts or (closing and whole):
            return newest
        if not self._may_lag():
            return stable.revision
        service = find_service(self.seen.observed, self.seen.observed.model.meta.name)
        led = read_selector(service).get(REVISION_LABEL) if service else None
        return newest if led == newest else stable.revision

    def _may_lag(self) -> bool:
        """Whether the Service may still lead to what traffic is on its way back from.

        That is after a rollout, or an emergency in it; and if it was decided in this rollout that
        the Service turns: by then, in the guard, or in an emergency. Only then is the live one
        asked how far that has come; else it was somebody's edit.
        """
        rollout = rollout_of(self.status)
        goes_back = rollout.state == "Reverting" or rollout.emergency != ""
        turned = rollout.step == 0 or self.steps.is_closing or rollout.emergencies is not None
        return goes_back and turned

    # Whether that is so

    @property
    def is_written(self) -> bool:
        """Whether the route says what status intends, taken by the router or not."""
        return self.split is not None and all(
            is_current(self.seen.observed, child) for child in self.router.make_routes(self.split)
        )

    @cached_property
    def verification(self) -> Verification:
        """Whether the router works by the split that status says."""
        if self.split is None:
            unknown = self.in_force is None
            words = "spec.traffic cannot be read" if unknown else "no revision gets traffic yet"
            return Verification(False, "NotRouted", words)
        model = self.seen.observed.model.meta.name
        for failure in self.seen.failures:
            if failure.name == model:
                return Verification(False, failure.reason, failure.message, refused=True)
        return self.seen.verify(self.choice.name, self.split)

    @property
    def is_taken(self) -> bool:
        """Whether the router has taken what is written; without a split, that nothing is live."""
        if self.split is None:  # nobody says whether it has taken what lives
            return not self.live_weights
        return self.verification.accepted
