"""The shape of a ModelDeployment's status, for the schema; `canarium.core.status` makes it.

Nothing here has a length limit: a status that the apiserver refuses would be a decision lost.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from canarium.api.rules import Model, keyed
from canarium.routing import ROUTERS

*_NAMES, _LAST = ROUTERS
_ROUTERS = f"What shifts the weight: {', '.join(_NAMES)} or {_LAST}."

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Text = Annotated[str, Field(json_schema_extra={"default": ""})]
"""Required, as Kubernetes' conventions have it. An earlier operator leaves an empty text out, and
has to be able to write its status in mid-upgrade: the apiserver fills it in."""


class Condition(Model):
    """One condition, as Kubernetes' API conventions have it."""

    type: str
    """Ready, UpToDate, Reconciling, Stalled, Routed, Judged, Scaled or Unaltered; of a template:
    Ready or Working."""
    status: Literal["True", "False", "Unknown"]
    "Whether it holds."
    reason: str
    "Why, in one CamelCase word."
    message: Text
    "Why, in plain words."
    observed_generation: int | None = None
    "The metadata.generation that this was said about."
    last_transition_time: Time
    "When status last changed."


class AnalysisRow(Model):
    """What one check of one metric says so far, with its evidence."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})

    metric: str
    "Name of the metric."
    source: str | None = None
    "Where its figures come from."
    check: str | None = None
    """max or min (against the bound), vsStable (against the stable version), share (of answers),
    job (whether it succeeded)."""
    verdict: str | None = None
    "Pass, Fail, Inconclusive or NoData."
    reason: str | None = None
    "Why, in one CamelCase word."
    message: str | None = None
    "Why, in plain words."
    canary_bad: int | None = None
    "Bad (failed or slow) answers of the canary in this step."
    canary_total: int | None = None
    "All answers of the canary in this step."
    stable_bad: int | None = None
    "Bad answers of the stable version in this step."
    stable_total: int | None = None
    "All answers of the stable version in this step."
    bound: str | None = None
    "The bound that was asked for."
    threshold: str | None = None
    "For latency: slower answers than this were counted as bad."
    tested_ratio: str | None = None
    "For latency against stable: the ratio that was really tested."
    interval_low: str | None = None
    "Lower end of the 95 % interval of the rate, or of the difference from stable."
    interval_high: str | None = None
    "Upper end of that interval."
    e_value: str | None = None
    "Evidence against the canary; it fails at failsAt."
    fails_at: str | None = None
    "The evidence that makes it fail."
    proof: str | None = None
    "Evidence that the canary keeps the bound, where a step may end early by it."
    value: str | None = None
    "For a gauge: the canary's last reading."
    stable_value: str | None = None
    "For a gauge: the stable version's last reading."
    estimate: str | None = None
    "For RankSum: by how much the canary's readings are higher."


class Header(Model):
    """A request header by which requests are led to the canary."""

    name: str
    "Its name."
    value: str
    "Its value."
    type: Literal["Exact", "RegularExpression"] | None = None
    "How value is meant."


class Sticky(Model):
    """A cookie by which people come again to the revision that they were led to once."""

    cookie: str
    "Its name."
    seconds: int
    "How long it lasts."


class Parent(Model):
    """What the route attaches to, a Gateway as a rule."""

    name: str
    "Its name."
    namespace: str | None = None
    "Its namespace."
    section_name: str | None = None
    "The listener."
    port: int | None = None
    "The listeners' port."
    kind: str | None = None
    "Its kind."


class AnsweredPath(Model):
    """A path that is answered."""

    type: str | None = None
    "PathPrefix or Exact."
    value: str | None = None
    "The path."


class TrafficInForce(Model):
    """How requests come in, as the routes are written. What the spec says follows at rest."""

    router: str | None = None
    "What the spec said of the router."
    protocol: str | None = None
    "What callers speak."
    parent_refs: list[Parent] | None = None
    "The Gateways."
    hostnames: list[str] | None = None
    "The host names."
    paths: list[AnsweredPath] | None = None
    "The paths."
    request_timeout: str | None = None
    "How long the gateway waits for the whole answer to a request."


class RoutesStatus(Model):
    """What became of the route objects that were written, and who else writes them."""

    written: str | None = None
    "A digest of them as they were last seen in place."
    reverts: int | None = None
    "How often they were put right since others began to write them."
    reverted_at: Time | None = None
    "When last."
    managers: list[str] | None = None
    "The field managers of the others, the latest first."


class RevisionStatus(Model):
    """One revision that exists now."""

    revision: str
    "Its id: the end of its ModelRevision's name, and a label of its pods."
    version: str | None = None
    "Its version."
    image: str | None = None
    "Its server's image."
    digest: str | None = None
    "SHA-256 of its pod template."
    replicas: int | None = None
    "How many pods it should have."
    ready_replicas: int | None = None
    "How many of them answer."
    weight: int | None = None
    "Its share of the traffic in percent, as intended."
    share: int | None = None
    "The share it really gets, where weights round to whole pods."
    mirror: int | None = None
    "The percentage of requests that it gets a copy of, as intended."
    headers: Annotated[list[Header], keyed("name")] | None = None
    "Requests with all of these headers go to it, as intended."
    sticky: Sticky | None = None
    "The cookie by which people stay with the revision that they were led to, as intended."
    restarted_at: Time | None = None
    "When a person last had its pods replaced one by one."
    unavailable_since: Time | None = None
    "Of the stable revision: since when none of its pods is ready."
    analysis: list[AnalysisRow] | None = None
    "How it is judged: one row for each check of each metric."


class Override(Model):
    """A person's rollback: this revision serves until the spec names another one than then."""

    revision: str
    "The revision that a person went back to."
    instead: str
    "The revision that the spec named then, and which is not tried meanwhile."
    at: Time | None = None
    "When."


class RolloutStatus(Model):
    """Where the rollout stands."""

    state: Literal[
        "Starting",
        "Idle",
        "Scaling",
        "Shifting",
        "Holding",
        "Guarding",
        "Reverting",
        "Rejected",
        "Broken",
    ]
    "What is being done."
    step: int | None = None
    "Number of the step, from 1; the closing one to 100 comes last. 0: none."
    step_name: str | None = None
    "Name of the step."
    step_started_at: Time | None = None
    "When the step began."
    verified_at: Time | None = None
    "When the step's traffic was seen to be as written; its hold counts from here."
    held_seconds: int | None = None
    "What was held before verifiedAt."
    retreats: int | None = None
    "How often the canary lost all its pods under this step's traffic."
    returns: int | None = None
    "How often in this rollout, as far as nobody else took them; the third is its own fault."
    returned: str | None = None
    "Id of the revision whose returns these are, where it is to be tried anew after a lost guard."
    most_ready: int | None = None
    "The most pods that were ready in this step; only more than that is progress."
    peak_replicas: int | None = None
    "The size that the stable version must not fall below until the guard ends."
    progress_at: Time | None = None
    "When something last progressed."
    emergency: Literal["Canary", "Fix"] | None = None
    """That the canary gets stable's traffic since stable is dead: it died under the Canary, or it
    was dead already when the canary was begun, which is then a Fix."""
    emergency_at: Time | None = None
    "Since when the canary has that traffic."
    emergencies: int | None = None
    "How often that happened in this rollout."
    earned_weight: int | None = None
    "What the canary has by its step meanwhile, in percent."
    ending: Literal["Rejected", "Canceled", "Superseded"] | None = None
    "What a rollout that is being reverted ends as."
    reason: str | None = None
    "Why it is reverted, in one CamelCase word."
    message: str | None = None
    "Why it is reverted, in plain words."
    taken_names: list[str] | None = None
    "Names of this step's Jobs that somebody else has taken: they have others."
    tests_key: str | None = None
    "Which step's analysis the saved tests belong to."
    tests: str | None = None
    "The running tests' numbers, saved so that a restart goes on with them."
    tests_saved_at: Time | None = None
    "When they were saved."


class Rejection(Model):
    """A revision that was rolled back for its own fault, or aborted. Only a retry lifts that."""

    revision: str
    "Its id."
    version: str | None = None
    "Its version."
    reason: str | None = None
    "Why, in one CamelCase word."
    message: str | None = None
    "Why, in plain words."
    at: Time | None = None
    "When."


class TrustedRevision(Model):
    """A ModelRevision that the operator wrote."""

    revision: str
    "Its id."
    digest: str
    "SHA-256 of its pod template."


class DeploymentStatus(Model):
    """What is."""

    observed_generation: int | None = None
    "The metadata.generation that this status is about."
    phase: (
        Literal[
            "Pending",
            "Progressing",
            "Paused",
            "Guarding",
            "Healthy",
            "RolledBack",
            "Failed",
            "Invalid",
        ]
        | None
    ) = None
    "Where it stands, in one word."
    reason: str | None = None
    "The one reason that matters now, in one CamelCase word."
    message: str | None = None
    "That reason in plain words."
    conditions: Annotated[list[Condition], keyed("type")] | None = None
    """Ready, UpToDate, Reconciling, Stalled, Routed, Judged; Scaled where something scales it;
    Unaltered (False) where others added something to a Deployment's pods."""
    url: str | None = None
    "Where requests go."
    router: Annotated[str | None, Field(description=_ROUTERS)] = None
    traffic: TrafficInForce | None = None
    "How requests come in, as decided. Routes are compared with this and never read as a wish."
    routes: RoutesStatus | None = None
    "The route objects: whether they are in place, and whether others keep writing them."
    rollout: RolloutStatus | None = None
    "Where the rollout stands."
    stable: RevisionStatus | None = None
    "The revision that answers when nothing is being rolled out."
    canary: RevisionStatus | None = None
    "The revision being tried."
    previous: RevisionStatus | None = None
    "The revision before, kept warm while the guard lasts."
    override: Override | None = None
    "A person's rollback, while it holds instead of the spec."
    rejected: list[Rejection] | None = None
    "Revisions that are not tried again without a retry."
    trusted_revisions: Annotated[list[TrustedRevision], keyed("revision")] | None = None
    "The ModelRevisions that the operator wrote. Whatever else is there is not rendered."
    made: dict[str, str] | None = None
    """The uids of the Deployments and Jobs that the operator made, by kind and name. Others are not
    taken for its own, whatever their labels and owners are."""
    begun_at: list[Time] | None = None
    "When the last twelve new revisions were begun. In a minute there are no more of them."
    last_handled_commands: dict[str, str] | None = None
    "The last command of each verb that was acted on."
    ignored_commands: dict[str, str] | None = None
    "Why the last command of a verb had no effect."
    replicas: int | None = None
    "Pods of the stable revision, for the scale subresource."
    selector: str | None = None
    "Selects the stable revision's pods, for autoscalers."


class MetricTemplateStatus(Model):
    """Whether a template works."""

    observed_generation: int | None = None
    "The metadata.generation that this status is about."
    conditions: Annotated[list[Condition], keyed("type")] | None = None
    """Ready: whether the template means something. Working: whether its last reading gave an
    answer, for whom, and why not."""


Unknown = Annotated[
    dict[str, Any],
    Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}),
]
