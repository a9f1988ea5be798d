"""Plays the story: applies what a person would apply, watches, and stops when a chapter is over."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from testbed.demo.feed import Feed
from testbed.demo.figures import Figures, Marks, compute_figures
from testbed.demo.presenters import Presenter
from testbed.demo.settings import Place
from testbed.demo.story import CHAPTERS, HOST, MODEL, Chapter
from testbed.demo.track import Track
from testbed.load.traffic import read_report
from testbed.operators.running import start_load, start_witness
from testbed.witness.changes import read_changes

FRAME_SECONDS = 0.25
INTERLUDE_SECONDS = 5.0
"How long one goes on looking after a chapter: the last failures, the steady traffic."


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the story came to; `figures` are None when it did not get to v3."""

    figures: Figures | None
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class Play:
    """A story that is being told."""

    where: Place
    presenter: Presenter
    track: Track
    feed: Feed
    applied: dict[str, float] = field(default_factory=dict)

    def tell(self, chapter: Chapter) -> str:
        """Apply a chapter's manifest and watch until it is over; what went wrong, or ""."""
        self.track.chapter = chapter.title
        self.show()
        self.applied[chapter.version] = time.time()
        self.apply(chapter.manifest)
        deadline = time.monotonic() + chapter.seconds
        while not (ending := chapter.judge(self.track.told, self.track.weights)):
            if time.monotonic() > deadline:
                return f"{chapter.promise}: not within {chapter.seconds:.0f} s"
            self.wait(FRAME_SECONDS)
        told = self.track.told
        return "" if ending == "good" else f"{chapter.promise}: {told.phase}, {told.message}"

    def apply(self, manifest: Path) -> None:
        """What `kubectl apply --server-side -f` does for a person."""
        self.where.cluster.kubectl(
            "apply", "--server-side", "-n", self.where.namespace, "-f", str(manifest)
        )

    def wait(self, seconds: float) -> None:
        """Let time pass, and show it."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, FRAME_SECONDS))
            self.show()

    def show(self) -> None:
        """One frame."""
        self.feed.update()
        self.presenter.show(self.track.scene(time.time()))


def play_story(where: Place, presenter: Presenter) -> Outcome:
    """All chapters in order, as far as they go well."""
    directory = where.cluster.logs
    client = directory / "answers.jsonl"
    witness, changes = start_witness(where.cluster.kubeconfig, directory)
    track = Track(where.namespace, MODEL, began=time.time())
    feed = Feed(track, changes, client, where.cluster.gateway_metrics_url)
    play = Play(where, presenter, track, feed)
    try:
        problems = tell_chapters(play, directory)
    finally:
        witness.end()
    if "v3" not in play.applied:
        return Outcome(None, problems)
    marks = Marks(MODEL, play.applied["v2"], play.applied["v3"], time.time())
    seen = read_changes(changes, where.namespace)
    return Outcome(compute_figures(seen, read_report(client), marks), problems)


def tell_chapters(play: Play, directory: Path) -> tuple[str, ...]:
    """v1, then traffic, then v2 and v3 under it; stops at the first that goes wrong."""
    first, *rest = CHAPTERS
    if problem := play.tell(first):
        return (problem,)
    with sending(play.where, directory):
        play.wait(INTERLUDE_SECONDS)
        for chapter in rest:
            if problem := play.tell(chapter):
                return (problem,)
            play.wait(INTERLUDE_SECONDS)
    return ()


@contextmanager
def sending(where: Place, directory: Path) -> Iterator[None]:
    """The client of the end-to-end tests, at 20 requests a second, until the block ends."""
    load = start_load(where.gateway_url, HOST, directory)
    try:
        yield
    finally:
        load.stop()
