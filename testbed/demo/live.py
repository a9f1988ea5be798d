"""The view for a terminal: a scene as styled text of at most 80 columns and 23 lines."""

from rich.text import Text

from testbed.demo.scene import Notice, Pulse, Row, Scene
from testbed.demo.wording import cut, show_clock, show_latency, show_rate, show_share, wrap

WIDTH = 80
BAR = 20
NOTICES = 7
STYLES = {"stable": "green", "canary": "yellow", "previous": "cyan"}
PHASES = {"Healthy": "bold green", "RolledBack": "bold red", "Failed": "bold red"}
HEAD = f"{'':<14}{'weight':<{BAR}}{'pods':>11}{'req/s':>8}{'errors':>9}{'p50':>9}{'p99':>9}"


def render(scene: Scene) -> Text:
    """The whole picture."""
    lines = [
        _render_title(scene),
        Text("─" * WIDTH, "dim"),
        *_render_model(scene),
        Text(),
        *_render_traffic(scene),
        Text(),
        *(_render_notice(notice) for notice in scene.notices[-NOTICES:]),
    ]
    return Text("\n").join(lines)


def _render_title(scene: Scene) -> Text:
    clock = show_clock(scene.elapsed)
    title = cut(f"Canarium demo · {scene.chapter}", WIDTH - len(clock) - 2)
    return Text(f"{title:<{WIDTH - len(clock)}}{clock}", "bold")


def _render_model(scene: Scene) -> list[Text]:
    first = Text(f"{scene.name}  ")
    first.append(scene.phase or "no status yet", PHASES.get(scene.phase, "bold"))
    first.append(f"  {cut(scene.step, WIDTH - len(first) - 2)}" if scene.step else "")
    conditions = Text("   ").join(_render_condition(*told) for told in scene.conditions)
    said = f"{scene.reason}: {scene.message}" if scene.message else scene.reason
    return [first, conditions, *(Text(line, "dim") for line in wrap(said, WIDTH, 2))]


def _render_condition(kind: str, status: str) -> Text:
    good = "False" if kind == "Stalled" else "True"
    return Text(f"{kind} ").append(status, "green" if status == good else "yellow")


def _render_traffic(scene: Scene) -> list[Text]:
    client = Text(f"{'all, as the client saw':<{BAR + 25}}" + _render_pulse(scene.client))
    sums = Text(f"requests sent {scene.sent:,}, failed {scene.failed:,}")
    sums.stylize("bold red" if scene.failed else "green", sums.plain.index("failed"))
    return [Text(HEAD, "dim"), *(_render_row(row) for row in scene.rows), client, sums]


def _render_row(row: Row) -> Text:
    full = round(BAR * row.weight / 100)
    text = Text(f"{row.role:<9}{cut(row.version, 4):<5}")
    text.append("█" * full, STYLES[row.role]).append("░" * (BAR - full), "dim")
    text.append(f"{row.weight:>4} %{row.ready:>3}/{row.replicas:<2}"[:11].ljust(11))
    pulse = _render_pulse(row.pulse)
    return text.append(pulse, "red" if (row.pulse.error_share or 0) > 0 else "")


def _render_pulse(pulse: Pulse) -> str:
    latencies = f"{show_latency(pulse.p50):>9}{show_latency(pulse.p99):>9}"
    return f"{show_rate(pulse.rate):>8}{show_share(pulse.error_share):>9}{latencies}"


def _render_notice(notice: Notice) -> Text:
    text = Text(f"{show_clock(notice.elapsed)}  ")
    text.append(notice.reason, "bold red" if notice.warning else "bold")
    return text.append(f"  {cut(notice.note, WIDTH - len(text) - 2)}")
