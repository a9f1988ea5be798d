"""Try every mutant: its test must fail on it, and pass on the original.

python -m tests.mutants                writes docs/contributing/mutants.md
python -m tests.mutants --only guard   those whose name has this in it, without writing
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Mutant
from tests.mutants.table import DOCUMENT, render
from tests.mutants.trial import Verdict, try_mutant, try_original


def main() -> int:
    """The exit code is 0 when every mutant was caught and the original passes."""
    options = _read_options()
    chosen = [mutant for mutant in MUTANTS if options.only in mutant.name]
    if not chosen:
        print(f"there is no mutant with {options.only!r} in its name")
        return 2
    for mutant in chosen:
        mutant.read()  # raises where the code has moved on, before anything is run
    begun = time.monotonic()
    with ThreadPoolExecutor(options.jobs) as pool:
        originals = list(pool.map(try_original, _deal(chosen, options.jobs)))
        verdicts = dict(zip(chosen, pool.map(_try_and_tell, chosen), strict=True))
    for original in originals:
        if not original.good:
            print(f"{original.details}\nthe original fails: {original.words}")
    caught = sum(verdict.good for verdict in verdicts.values())
    print(f"{caught} of {len(chosen)} caught in {time.monotonic() - begun:.0f} s")
    if not options.only:
        DOCUMENT.write_text(render({m: v.words for m, v in verdicts.items()}))
    return 0 if caught == len(chosen) and all(o.good for o in originals) else 1


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", default="", help="part of a mutant's name")
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side (2)")
    return parser.parse_args()


def _deal(mutants: Sequence[Mutant], jobs: int) -> list[list[str]]:
    """The tests that are named, each once, in as many hands as there are jobs."""
    tests = sorted({mutant.test for mutant in mutants})
    return [hand for first in range(jobs) if (hand := tests[first::jobs])]


def _try_and_tell(mutant: Mutant) -> Verdict:
    begun = time.monotonic()
    verdict = try_mutant(mutant)
    seconds = time.monotonic() - begun
    said = verdict.details if verdict.good else f"\n{verdict.details}"
    print(f"{seconds:5.1f} s  {mutant.name:<42}{verdict.words}  {said}", flush=True)
    return verdict


if __name__ == "__main__":
    sys.exit(main())
