"""Whom to wake, and for what: alerts on rollouts, on models' answers and on the operator itself.

Every alert has a section in docs/observability.md that says what to do, and cases in
tests/cluster/alert_cases.yaml in which it fires and in which it doesn't.
"""

from __future__ import annotations

from observability.rules import Alert, Record
from observability.server_rules import ERRORS, OWN, REQUESTS, make_server_rules

OBJECTIVE_ERRORS = 0.001
"The share of failed answers that is allowed: 99.9 % succeed."
BUDGET = "canarium:error_budget:ratio"
MODEL_REQUESTS = "canarium:model_requests:rate5m"
MODEL_ERRORS = "canarium:model_errors:rate5m"
STEP_SLACK_SECONDS = 1800

MODEL = "{{ $labels.namespace }}/{{ $labels.model }}"
SERVED = "and on (namespace, model) last_over_time(canarium_model_ready[1h])"
"Only models of ours; remembered for a while, should the operator be away."

MODEL_RULES = (
    Record(BUDGET, f"vector({OBJECTIVE_ERRORS})"),
    Record(MODEL_REQUESTS, f"sum by (namespace, model) (max by ({OWN}) ({REQUESTS}))"),
    Record(MODEL_ERRORS, f"sum by (namespace, model) (max by ({OWN}) ({ERRORS}))"),
)


def in_phase(phase: str, also: str = "") -> str:
    """The models that are in a phase, whichever process tells it: leaders change meanwhile."""
    series = f'canarium_model_phase{{phase="{phase}"{also}}}'
    return f"max by (namespace, model, phase, reason) ({series}) == 1"


def burns(long: str, short: str, rate: float) -> str:
    """Whether the error budget is spent that many times too fast, over a long and a short time.

    The Site Reliability Workbook (Google, 2018), chapter 5, "Multiwindow, Multi-Burn-Rate Alerts",
    with its table of rates and windows for 30 days. The long window says that it matters, the short
    one that it still goes on. Shares are sums over sums, so that quiet minutes don't weigh more.
    """
    limit = f"{rate} * scalar({BUDGET})"
    return f"({_share(long)} > {limit} and {_share(short)} > {limit})"


def _share(window: str) -> str:
    failed, asked = (f"sum_over_time({name}[{window}])" for name in (MODEL_ERRORS, MODEL_REQUESTS))
    return f"{failed} / ({asked} > 0)"


ROLLOUTS = (
    Alert(
        "CanariumRolledBack",
        in_phase("RolledBack", ',reason!~"Overridden|Aborted"'),
        "",
        "warning",
        f"{MODEL} was rolled back: {{{{ $labels.reason }}}}",
        "A new version was taken back for its own fault; the one before serves all traffic. Nothing"
        " is tried again until the spec changes or a person says retry.",
    ),
    Alert(
        "CanariumRolloutStuck",
        "max by (namespace, model, revision, version)"
        " (time() - canarium_rollout_step_started_timestamp_seconds"
        f" - canarium_rollout_step_hold_seconds) > {STEP_SLACK_SECONDS}"
        ' unless on (namespace, model) canarium_model_phase{phase="Paused"} == 1',
        "5m",
        "warning",
        f"The rollout of {MODEL} to version {{{{ $labels.version }}}} doesn't go on",
        "Its step has lasted half an hour longer than its hold. It waits for data, for capacity or"
        " for its router; status.message says for what.",
    ),
    Alert(
        "CanariumRolloutWaits",
        in_phase("Paused", ',reason!="ScaledToZero"'),
        "1d",
        "info",
        f"The rollout of {MODEL} has waited for a person for a day: {{{{ $labels.reason }}}}",
        "It was paused, or its step asks for an approval. Two versions serve meanwhile.",
    ),
    Alert(
        "CanariumAnalysisWithoutData",
        "max by (namespace, model, revision, version, metric, check)"
        ' (canarium_analysis_verdict{verdict="NoData"}) == 1',
        "10m",
        "warning",
        f"Metric {{{{ $labels.metric }}}} of {MODEL} has no data",
        "The rollout is never promoted on no data, so it stands still. The condition Judged says"
        " why nothing can be read.",
    ),
)
MODELS = (
    Alert(
        "CanariumModelNotReady",
        "max by (namespace, model) (canarium_model_ready) == 0"
        ' unless on (namespace, model) canarium_model_phase{reason="ScaledToZero"} == 1',
        "10m",
        "critical",
        f"{MODEL} doesn't have the capacity that it should have",
        "Its condition Ready has not been True for ten minutes, and nobody has set its replicas to"
        " 0.",
    ),
    Alert(
        "CanariumModelFailed",
        in_phase("Failed"),
        "5m",
        "critical",
        f"{MODEL} cannot serve: {{{{ $labels.reason }}}}",
        "Its first version never became ready, and there is none to go back to.",
    ),
    Alert(
        "CanariumModelInvalid",
        in_phase("Invalid"),
        "5m",
        "warning",
        f"The spec of {MODEL} is of no use: {{{{ $labels.reason }}}}",
        "What served goes on serving; the change has no effect. status.message names the field.",
    ),
    Alert(
        "CanariumErrorBudgetBurn",
        f"({burns('1h', '5m', 14.4)} or {burns('6h', '30m', 6)}) {SERVED}",
        "2m",
        "critical",
        f"{MODEL} spends its error budget quickly: {{{{ $value | humanizePercentage }}}} fail",
        "At this pace 2 % of the budget of 30 days is gone in an hour, or 5 % in six.",
    ),
    Alert(
        "CanariumErrorBudgetBurnSlow",
        f"{burns('3d', '6h', 1)} {SERVED}",
        "1h",
        "warning",
        f"{MODEL} spends its error budget: {{{{ $value | humanizePercentage }}}} fail",
        "At this pace the budget of 30 days will not last: 10 % of it went in three days.",
    ),
)
OPERATOR = (
    Alert(
        "CanariumNoLeader",
        "sum by (namespace, job) (canarium_leader) == 0 or absent(canarium_leader)",
        "1m",
        "critical",
        "No operator of Canarium acts",
        "Traffic flows on as it was written, but a bad canary is not taken back.",
    ),
    Alert(
        "CanariumTwoLeaders",
        "sum by (namespace, job) (canarium_leader) > 1",
        "1m",
        "critical",
        "Several operators of Canarium act at once",
        "They have leases in different namespaces, or run without election, and serve the same"
        " namespaces.",
    ),
    Alert(
        "CanariumCacheStale",
        "max by (namespace, job, instance, resource) (canarium_cache_age_seconds) > 150",
        "2m",
        "warning",
        "{{ $labels.instance }} has heard nothing of {{ $labels.resource }} for"
        " {{ $value | humanizeDuration }}",
        "The apiserver tells something each minute. The operator may act on what was long ago.",
    ),
    Alert(
        "CanariumReconcileErrors",
        "sum by (namespace, job) (increase(canarium_reconcile_errors_total[15m])) > 10",
        "15m",
        "warning",
        "Passes of the operator fail: {{ $value | humanize }} in 15 minutes",
        "Each is tried again; the log has a line for each, with the object.",
    ),
    Alert(
        "CanariumStatusChangesTooOften",
        "sum by (namespace, job) (rate(canarium_status_writes_delayed_total[5m])) > 0.5",
        "5m",
        "warning",
        "What the operator decides changes many times a second",
        "Its writes of status are delayed, and nothing else; an event StatusChangesTooOften says of"
        " which object. Somebody writes it in a loop, or decisions undo each other.",
    ),
    Alert(
        "CanariumInternalErrors",
        "sum by (namespace, job, part) (increase(canarium_internal_errors_total[15m])) > 0",
        "",
        "warning",
        "Something that nobody expected was raised in the operator: {{ $labels.part }}",
        "It is kept to one object, whose status and the log say what it was. It is a bug:"
        " report it.",
    ),
    Alert(
        "CanariumQueueSlow",
        "histogram_quantile(0.99, sum by (namespace, job, le)"
        " (rate(canarium_queue_wait_seconds_bucket[10m]))) > 5",
        "10m",
        "warning",
        "Work waits {{ $value | humanizeDuration }} for the operator",
        "One object in a hundred waited this long. Rollbacks go before other work, but a queue"
        " that grows means too little processor time, or a slow apiserver.",
    ),
    Alert(
        "CanariumWritesRefused",
        "max by (namespace, model, kind, reason) (canarium_model_write_refused) == 1",
        "15m",
        "warning",
        f"Writes of the {{{{ $labels.kind }}}} of {MODEL} are refused: {{{{ $labels.reason }}}}",
        "A quota, an admission rule or a missing right keeps it from being as it should.",
    ),
)

GROUPS: dict[str, tuple[Record | Alert, ...]] = {
    "canarium-servers": (*make_server_rules(), *MODEL_RULES),
    "canarium-rollouts": ROLLOUTS,
    "canarium-models": MODELS,
    "canarium-operator": OPERATOR,
}
