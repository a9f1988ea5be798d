"""The view for a log: what changed between two scenes, one line a change, each with its time."""

from collections.abc import Iterator

from testbed.demo.scene import Row, Scene
from testbed.demo.wording import show_latency, show_rate, show_share

SHOWN = ("Ready", "UpToDate", "Stalled", "Judged")
TRAFFIC_SECONDS = 5.0
"How often the traffic gets a line though nothing else changed."


def narrate(before: Scene | None, now: Scene) -> list[str]:
    """The lines to print for this scene, given the one before it."""
    return [f"[{now.elapsed:6.1f}s] {line}" for line in _tell(before, now)]


def _tell(before: Scene | None, now: Scene) -> Iterator[str]:
    if before is None or before.chapter != now.chapter:
        yield f"== {now.chapter}"
    if now.phase and (before is None or _standing(before) != _standing(now)):
        yield _describe_standing(now)
    known = len(before.notices) if before else 0
    for notice in now.notices[known:]:
        yield f"{'warning' if notice.warning else 'event'} {notice.reason}: {notice.note}"
    if before is not None and now.sent and _is_due(before.elapsed, now.elapsed):
        yield _describe_traffic(now)


def _standing(scene: Scene) -> tuple[object, ...]:
    weights = tuple((row.role, row.version, row.weight) for row in scene.rows)
    return (scene.phase, scene.reason, scene.step, _conditions(scene), weights)


def _conditions(scene: Scene) -> str:
    return " ".join(f"{kind}={status}" for kind, status in scene.conditions if kind in SHOWN)


def _describe_standing(scene: Scene) -> str:
    said = f": {scene.message}" if scene.message else ""
    weights = ", ".join(f"{row.role} {row.version} {row.weight} %" for row in scene.rows)
    conditions = _conditions(scene)
    standing = [f"{scene.phase}/{scene.reason}{said}", weights or "nothing routed", conditions]
    return " | ".join(standing)


def _is_due(before: float, now: float) -> bool:
    return now // TRAFFIC_SECONDS > before // TRAFFIC_SECONDS


def _describe_traffic(scene: Scene) -> str:
    total = f"traffic {show_rate(scene.client.rate)}/s, failed {scene.failed} of {scene.sent}"
    return " | ".join([total, *(_describe_row(row) for row in scene.rows)])


def _describe_row(row: Row) -> str:
    pulse, pods = row.pulse, f"{row.ready}/{row.replicas} pods"
    latency = f"p50 {show_latency(pulse.p50)} p99 {show_latency(pulse.p99)}"
    errors = f"errors {show_share(pulse.error_share)}"
    return f"{row.version} {row.weight} % {pods} {show_rate(pulse.rate)}/s {errors} {latency}"
