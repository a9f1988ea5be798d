"""`canarium judge`: a verdict with its evidence, on counts that somebody has. No cluster."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from canarium.cli.exits import Exit
from canarium.cli.judging.input import Block, parse_counts, read_blocks
from canarium.cli.options import add_output
from canarium.errors import CommandError

if TYPE_CHECKING:
    from canarium.cli.judging.trial import Trial
    from canarium.judge import Metric
    from canarium.judge.sequential import Counts

MIN_REQUESTS = 100
"What a ModelDeployment asks for that says nothing of it."
CODES = {"Pass": Exit.DONE, "Fail": Exit.REFUSED}
"Of verdicts; the others want more answers."


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "judge",
        help="judge counts of errors as a rollout would",
        description="Judge a canary by counts of bad answers, as a rollout would, and show the"
        " evidence: counts of both sides, or a CSV file with a reading a line and the columns"
        " time (or block), stable_bad, stable_total, canary_bad, canary_total. Without a bound,"
        " the canary has to be no worse than stable. Needs no cluster.",
    )
    parser.add_argument("file", metavar="FILE", nargs="?", help="readings; - for standard input")
    _add_counts(parser)
    _add_bounds(parser)
    parser.add_argument("--svg", metavar="FILE", help="draw it into this file, too")
    add_output(parser)
    parser.set_defaults(run=run)


def _add_counts(parser: argparse.ArgumentParser) -> None:
    counts = parser.add_argument_group("counts instead of a file")
    for side in ("stable", "canary"):
        counts.add_argument(
            f"--{side}",
            type=_made_by(parse_counts),
            metavar="BAD/TOTAL",
            help=f"bad ones of all answers of {side}",
        )


def _add_bounds(parser: argparse.ArgumentParser) -> None:
    bounds = parser.add_argument_group("bounds, as in spec.rollout.analysis")
    bounds.add_argument(
        "--max", type=_ratio, metavar="RATIO", help="the largest rate, such as 5%% or 0.05"
    )
    compared = bounds.add_mutually_exclusive_group()
    compared.add_argument(
        "--max-increase", type=_ratio, metavar="RATIO", help="how much more than stable's"
    )
    compared.add_argument(
        "--max-ratio", type=_factor, metavar="FACTOR", help="how many times stable's"
    )
    bounds.add_argument(
        "--alpha",
        type=_ratio,
        metavar="RATIO",
        default=0.01,
        help="the chance that a good canary fails; 1%% when left out",
    )
    bounds.add_argument(
        "--min-requests",
        type=_made_by(_parse_requests),
        metavar="N",
        default=MIN_REQUESTS,
        help=f"answers of the canary that a pass needs; {MIN_REQUESTS} when left out",
    )


def _made_by(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Have argparse show the sentence of a ValueError."""

    def make(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return make


def _ratio(text: str) -> float:
    from canarium.api.durations import parse_ratio  # noqa: PLC0415 - brings pydantic

    return float(_made_by(parse_ratio)(text))


def _factor(text: str) -> float:
    from canarium.api.durations import parse_factor  # noqa: PLC0415 - brings pydantic

    return float(_made_by(parse_factor)(text))


def _parse_requests(text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise ValueError(f"write a number of answers, not {text!r}")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Judge, show the evidence, and return the exit code: 0 passed, 1 failed, 3 not known yet."""
    from canarium.cli.judging.trial import run_trial  # noqa: PLC0415 - only when asked for

    blocks = _collect(arguments)
    try:
        trial = run_trial(blocks, make_metric(arguments), arguments.alpha, arguments.min_requests)
    except ValueError as error:
        raise CommandError(str(error)) from error
    if arguments.svg:
        _write_svg(trial, arguments.svg)
    _print(trial, arguments.output)
    return CODES.get(trial.verdict, Exit.TIMEOUT)


def make_metric(arguments: argparse.Namespace) -> Metric:
    """The metric with the bounds that were given; no worse than stable when there are none."""
    from canarium.cli.judging.trial import METRIC  # noqa: PLC0415 - only when asked for
    from canarium.judge import Metric  # noqa: PLC0415

    given = (arguments.max, arguments.max_increase, arguments.max_ratio)
    increase = 0.0 if given == (None, None, None) else arguments.max_increase
    return Metric(
        METRIC,
        "ErrorRate",
        max=arguments.max,
        max_increase=increase,
        max_ratio=arguments.max_ratio,
    )


def _collect(arguments: argparse.Namespace) -> list[Block]:
    """The readings, of which there is at least one. CommandError for what makes no sense."""
    stable, canary = arguments.stable, arguments.canary
    if arguments.file is not None:
        if stable is not None or canary is not None:
            raise CommandError("give a file or counts, not both")
        return read_blocks(arguments.file)
    if canary is None:
        raise CommandError("give --stable and --canary, such as 12/4000 and 9/400, or a file")
    return [Block("1", _get_stable(stable, arguments), canary)]


def _get_stable(stable: Counts | None, arguments: argparse.Namespace) -> Counts:
    from canarium.judge.sequential import Counts  # noqa: PLC0415 - only when asked for

    alone = arguments.max is not None
    if stable is None and (not alone or arguments.max_increase or arguments.max_ratio):
        raise CommandError("give --stable to compare with, or only --max")
    return stable or Counts()


def _write_svg(trial: Trial, file: str) -> None:
    from canarium.cli.judging.picture import draw_svg  # noqa: PLC0415 - only when asked for

    try:
        Path(file).write_text(draw_svg(trial), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}") from error


def _print(trial: Trial, form: str | None) -> None:
    from canarium.cli.drawing.terminal import make_console, print_value  # noqa: PLC0415
    from canarium.cli.judging.picture import draw  # noqa: PLC0415 - needs the extra packages
    from canarium.cli.judging.trial import dump_trial  # noqa: PLC0415

    if form is not None:
        print_value(dump_trial(trial), form)
        return
    console = make_console()
    for line in draw(trial, console.width, ascii_only=console.options.ascii_only):
        console.print(line)
