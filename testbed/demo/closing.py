"""What stands under the story when it is over: the figures, and what to type next."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.demo.figures import Figures, Split
from testbed.demo.wording import show_seconds

RULE = "-" * 78
RAMP = "0:20,600:20"
"Twenty requests a second for ten minutes: long enough for a rollout and a roll-back."


@dataclass(frozen=True, slots=True)
class Kept:
    """A cluster that was left running, and how to use it."""

    name: str
    namespace: str
    kubeconfig: Path
    kubectl: Path
    url: str
    host: str
    body: str


def render_figures(figures: Figures) -> list[str]:
    """The table, at most 80 columns wide."""
    return [RULE, *(f"{name:<48} {value}" for name, value in _rows(figures)), RULE]


def _rows(figures: Figures) -> Iterator[tuple[str, str]]:
    promotion, back = figures.promotion, figures.taking_back
    yield "v2: apply to 100 % of the traffic", show_seconds(promotion.seconds_to_full)
    yield "v2: apply to Healthy, the guard included", show_seconds(promotion.seconds_to_healthy)
    yield "v2: failed requests", f"{promotion.failed} of {promotion.sent:,}"
    for split in promotion.splits:
        yield f"v2: measured share at weight {split.weight} %", _describe_split(split)
    yield "v3: first failed answer to weight 0 in the route", show_seconds(back.seconds_to_zero)
    yield "v3: first failed answer to the last one", show_seconds(back.seconds_to_last_failure)
    yield "v3: failed requests", f"{back.failed} of {back.sent:,}"
    yield "v3: Ready stayed True", "yes" if back.ready_throughout else "NO"
    yield "v3: Stalled, with the reason", back.reason or "not stalled"


def _describe_split(split: Split) -> str:
    return f"{100 * split.share:.1f} % of {split.answers} answers"


def render_next(kept: Kept | None) -> list[str]:
    """What to type next."""
    if kept is None:
        return ["Next: `make demo KEEP=1` leaves the cluster and the operator running."]
    headers = f"-H 'Content-Type: application/json' -H 'Host: {kept.host}'"
    return [
        "The cluster and the operator go on running. Next:",
        f"  export KUBECONFIG={kept.kubeconfig}",
        f"  export PATH={kept.kubectl.parent}:$PATH",
        f"  kubectl config set-context --current --namespace={kept.namespace}",
        "  kubectl get mdep",
        f"  curl {headers} \\",
        f"    -d '{kept.body}' \\",
        f"    {kept.url}",
        "Traffic to judge a version by, a slow version, and how it goes:",
        f"  .venv/bin/python -m testbed.load.traffic {kept.url} \\",
        f"    --host {kept.host} --ramp {RAMP} --log answers.jsonl \\",
        f"    --body '{kept.body}' &",
        "  kubectl apply --server-side -f examples/iris/versions/v4.yaml",
        "  kubectl get mdep -w",
        "All of it away again:",
        f"  .venv/bin/python -m testbed.cluster down --name {kept.name}",
    ]


def describe_problems(problems: Sequence[str]) -> list[str]:
    """Why the demo did not show what it should, one line each."""
    return [f"NOT AS IT SHOULD BE: {problem}" for problem in problems]
