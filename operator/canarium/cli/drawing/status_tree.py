"""The tree of `canarium status`: object, revisions with pods and verdicts, steps, rejections."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from canarium.api import format_duration
from canarium.cli.drawing.terminal import align, format_age, mark, phase
from canarium.cli.drawing.verdicts import tell_verdicts
from canarium.cli.objects.status_report import PodReport, Refusal, Report, Revision, Stage
from canarium.cli.objects.usage import tell_use

READY_SHOWN = 4
"Ready pods look alike; of those that aren't, every one is shown."
REJECTED_SHOWN = 3

Twigs = Iterable[RenderableType]


def make_tree(report: Report, now: float, *, ascii_only: bool = False) -> Tree:
    """All of it, as rich can print it. `now` in seconds since the epoch."""
    tree = Tree(_head(report), guide_style="dim")
    lines = align([_revision_cells(one, now) for one in report.revisions])
    for line, revision in zip(lines, report.revisions, strict=True):
        _hang(tree.add(line), tell_use(revision.use))
        _hang(tree.children[-1], tell_verdicts(revision.verdicts, ascii_only=ascii_only))
        _hang(tree.children[-1], _tell_pods(revision.pods, now, ascii_only=ascii_only))
    if report.steps:
        _hang(tree.add("steps"), tell_steps(report.steps, ascii_only=ascii_only))
    if report.guard is not None:
        held, whole = format_age(report.guard.held_seconds), format_duration(report.guard.seconds)
        tree.add(f"guard     {held} of {whole}, {_tell_previous(report.revisions)}")
    if report.rejected:
        _hang(tree.add("rejected"), _tell_rejected(report.rejected, now, ascii_only=ascii_only))
    return tree


def _hang(branch: Tree, twigs: Twigs) -> None:
    for twig in twigs:
        branch.add(twig)


def _tell_previous(revisions: Iterable[Revision]) -> str:
    """Whether one could still go back to the revision before."""
    previous = next((one for one in revisions if one.role == "Previous"), None)
    if previous is None or previous.ready_replicas >= previous.replicas:
        return "the previous revision stays warm"
    count = f"{previous.ready_replicas} of {previous.replicas}"
    return f"but only {count} pods of the previous revision are ready"


def _head(report: Report) -> RenderableType:
    title = Text.assemble((report.name, "bold"), f" in {report.namespace}: ", phase(report.phase))
    if report.reason not in ("", report.phase):
        title.append(f", {report.reason}")
    where = ", ".join(
        part for part in (report.url, report.router and f"router {report.router}") if part
    )
    return Group(*(line for line in (title, *_words(report), Text(where, "dim")) if line.plain))


def _words(report: Report) -> Iterator[Text]:
    yield Text(report.message)
    if not report.seen:
        yield Text("the operator has not acted on this spec yet", "yellow")
    if report.override is not None:
        over = report.override
        words = f"a person rolled back to {over.revision}; the spec names {over.instead}"
        yield Text(words, "yellow")
    if report.revisions and not report.ready:
        told = report.unready in report.message
        yield Text("not Ready" if told else f"not Ready: {report.unready}", "red")
    for kind, why in (
        ("routed", report.unrouted),
        ("judged", report.unjudged),
        ("scaled", report.unscaled),
    ):
        if why and why not in report.message and why != report.unready:
            yield Text(f"not {kind}: {why}", "yellow")


def _revision_cells(revision: Revision, now: float) -> list[str | Text]:
    style = {"Stable": "green", "Canary": "cyan"}.get(revision.role, "")
    whole = revision.ready_replicas >= revision.replicas
    restarted = revision.restarted_at
    return [
        Text(revision.role.lower(), style),
        Text(revision.version or "-", "bold"),
        Text(revision.revision, "dim"),
        f"{revision.weight:3} %",
        describe_extras(revision.mirror or 0, revision.headers, revision.share),
        Text(
            f"{revision.ready_replicas}/{revision.replicas} pods ready", "" if whole else "yellow"
        ),
        f"restarted {format_age(now - restarted)} ago" if restarted is not None else "",
    ]


def describe_extras(mirror: int, headers: Sequence[str], share: int | None = None) -> str:
    """What goes to a canary beside its weight: copies, requests with a header."""
    parts = [f"mirror {mirror} %"] if mirror else []
    parts += [" and ".join(headers)] if headers else []
    parts += [f"really {share} %"] if share is not None else []
    return ", ".join(parts)


def describe_capacity(capacity: str) -> str:
    """What `replicas` of a step asks for: a number of pods, or a share of stable's."""
    if not capacity:
        return ""
    return f"{capacity} of stable's pods" if capacity.endswith("%") else f"{capacity} pods"


def _tell_pods(pods: Sequence[PodReport] | None, now: float, *, ascii_only: bool) -> Iterator[Text]:
    if pods is None:
        yield Text("pods are not shown: you may not list them", "dim")
        return
    well = [pod for pod in pods if pod.ready]
    shown = [*(pod for pod in pods if not pod.ready), *well[:READY_SHOWN]]
    yield from align([_pod_cells(pod, now, ascii_only=ascii_only) for pod in shown])
    if len(well) > READY_SHOWN:
        yield Text(f"and {len(well) - READY_SHOWN} more that are ready", "dim")


def _pod_cells(pod: PodReport, now: float, *, ascii_only: bool) -> list[str | Text]:
    age = format_age(now - pod.created_at) if pod.created_at is not None else ""
    return [
        mark("Ready" if pod.ready else "NotReady", ascii_only=ascii_only),
        pod.name,
        Text(pod.state, "" if pod.ready else "yellow"),
        Text(age, "dim"),
        Text(f"{pod.restarts} restarts" if pod.restarts else "", "yellow"),
    ]


def tell_steps(steps: Sequence[Stage], *, ascii_only: bool) -> list[Text]:
    """A line for each step: mark, number, name, what the canary gets, what ends it."""
    return align([_step_cells(step, ascii_only=ascii_only) for step in steps])


def _step_cells(step: Stage, *, ascii_only: bool) -> list[str | Text]:
    return [
        mark(step.mark, ascii_only=ascii_only),
        str(step.number),
        Text(step.name, "bold" if step.mark == "Now" else ""),
        f"{step.weight:3} %",
        describe_extras(step.mirror, step.headers),
        describe_capacity(step.capacity),
        _describe_end(step),
    ]


def _describe_end(step: Stage) -> str:
    hold = format_duration(step.hold_seconds) if step.hold_seconds else ""
    if step.held_seconds is None:
        parts = [f"hold {hold}" if hold else "", "approval" if step.approval else ""]
    else:
        held = f"held {format_age(step.held_seconds)}" + (f" of {hold}" if hold else "")
        over = step.held_seconds >= step.hold_seconds
        waits = "waits for a person: canarium promote" if over else "approval"
        parts = [held, waits if step.approval else ""]
    return ", ".join(part for part in parts if part)


def _tell_rejected(rejected: Sequence[Refusal], now: float, *, ascii_only: bool) -> Iterator[Tree]:
    for one in rejected[:REJECTED_SHOWN]:
        at = f"{format_age(now - one.at)} ago" if one.at is not None else ""
        cells: list[str | Text] = [
            Text(one.version or "-", "bold"),
            Text(one.revision, "dim"),
            one.reason,
            at,
        ]
        branch = Tree(align([cells])[0], guide_style="dim")
        _hang(branch, tell_verdicts(one.verdicts, ascii_only=ascii_only))
        if one.message and not one.verdicts:
            branch.add(Text(one.message, "dim"))
        yield branch
    if len(rejected) > REJECTED_SHOWN:
        yield Tree(f"and {len(rejected) - REJECTED_SHOWN} earlier ones")
