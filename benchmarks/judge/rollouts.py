"""Simulated rollouts, as many as are asked for, over several processes, always the same by seed."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np
from canarium.judge import Metric

from benchmarks.judge.judges import NO_WORSE, Outcome, Threshold, judge
from benchmarks.judge.streams import Stream

CHUNKS = 8
"Parts a process gets, so that none waits long for the other's last one."


@dataclass(frozen=True, slots=True)
class Case:
    """A row of a table: what is answered, by which bounds we judge it, and the usual judge."""

    name: str
    stream: Stream
    usual: Threshold
    metrics: tuple[Metric, ...] = NO_WORSE


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What both judges made of the same rollouts."""

    ours: tuple[Outcome, ...]
    usual: tuple[Outcome, ...]


class Simulator:
    """Runs the rollouts of a case; the numbers of each depend on seed, case and its own number."""

    def __init__(
        self, seed: int, pool: ProcessPoolExecutor | None = None, workers: int = 1
    ) -> None:
        self._seed = seed
        self._pool = pool
        self._workers = workers

    def run(self, case: Case, rollouts: int) -> Outcomes:
        """Show each rollout to both judges."""
        play = partial(play_one, case, self._seed)
        chunk = max(1, rollouts // (CHUNKS * self._workers))
        numbers = range(rollouts)
        pairs = (
            [*map(play, numbers)]
            if self._pool is None
            else [*self._pool.map(play, numbers, chunksize=chunk)]
        )
        ours, usual = zip(*pairs, strict=True)
        return Outcomes(ours, usual)


def play_one(case: Case, seed: int, number: int) -> tuple[Outcome, Outcome]:
    """Play one rollout twice, with the same answers."""
    seeds = [seed, number, *case.name.encode()]
    ours = judge(case.stream.answer(np.random.default_rng(seeds)), case.metrics)
    return ours, case.usual.judge(case.stream.answer(np.random.default_rng(seeds)))


@contextmanager
def simulating(seed: int, workers: int) -> Iterator[Simulator]:
    """Have a simulator on so many processes."""
    if workers == 1:
        yield Simulator(seed)
        return
    # Spawned, so that no process inherits another's threads or half-drawn numbers.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield Simulator(seed, pool, workers)
