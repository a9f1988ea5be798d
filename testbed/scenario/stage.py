"""Clusters that the workers of one test run share: whoever is first brings one up.

Whoever is last takes it down. The workers know each other by the run's directory.
"""

import fcntl
import json
import os
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from testbed.cluster import lifecycle
from testbed.cluster.cluster import Cluster
from testbed.cluster.lifecycle import Tier, Wish
from testbed.images.iris import build_iris
from testbed.operators.running import ROOT
from testbed.programs.cache import exclusive
from testbed.programs.definitions import await_served
from testbed.programs.processes import Process, observe
from testbed.programs.progress import Progress
from testbed.rights.ledger import hand_in

SLOT_POLL_SECONDS = 0.2
Prepare = Callable[[Cluster, Progress], None]


@contextmanager
def share_cluster(tier: Tier, prepare: Prepare, run: Path) -> Iterator[Cluster]:
    """Lend the run's cluster of a tier; it is prepared once and goes with its last user.

    `run` is a directory that all workers of this test run share, and no other run.

    A cluster named by CANARIUM_CLUSTER is used instead, where it is of the tier, and stays.
    """
    if (borrowed := find_borrowed(tier)) is not None:
        prepare(borrowed, Progress())
        yield borrowed
        return
    name, users = f"e2e-{zlib.crc32(bytes(run)):08x}-{tier}", run / f"{tier}.users"
    try:
        yield join(name, tier, users, prepare)
    finally:
        leave(name, users)


def find_borrowed(tier: Tier) -> Cluster | None:
    """The running cluster that the environment names, if it is of this tier."""
    name = os.environ.get("CANARIUM_CLUSTER")
    cluster = lifecycle.find(name) if name else None
    simulated = cluster is not None and cluster.kind == "control-plane"
    return cluster if simulated == (tier == "control-plane") else None


def join(name: str, tier: Tier, users: Path, prepare: Prepare) -> Cluster:
    """Bring the cluster up or find it up, and be counted among its users."""
    with exclusive(users.with_suffix(".lock")):
        others = read_users(users)
        write_users(users, [*others, os.getpid()])
        cluster = lifecycle.up(Wish(name=name, tier=tier, owned=True), Progress())
        if not others:
            cluster.owner = observe("owner", find_run_process())
            cluster.save()
            prepare(cluster, Progress())
        return lifecycle.find(name)


def find_run_process() -> int:
    """The process that lives as long as the run: should it crash, the next run cleans up."""
    return os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


def leave(name: str, users: Path) -> None:
    """Be counted out; the last one takes the cluster down."""
    with exclusive(users.with_suffix(".lock")):
        write_users(users, [pid for pid in read_users(users) if pid != os.getpid()])
        if not read_users(users):
            hand_in(lifecycle.find(name))
            lifecycle.down(name, Progress())


def read_users(users: Path) -> list[int]:
    """The processes that use the cluster and still run."""
    known = [Process(**row) for row in json.loads(users.read_text())] if users.exists() else []
    return [process.pid for process in known if process.is_alive()]


def write_users(users: Path, pids: list[int]) -> None:
    """Write down who uses the cluster."""
    found = [observe("user", pid) for pid in pids]
    rows = [{name: getattr(p, name) for name in Process.__slots__} for p in found if p]
    users.write_text(json.dumps(rows))


@contextmanager
def take_slot(slots: int, run: Path) -> Iterator[None]:
    """Wait until fewer than so many workers of this run play with real traffic, and be one."""
    files = [run / f"slot-{number}" for number in range(slots)]
    with ExitStack() as stack:
        held = [stack.enter_context(file.open("w")) for file in files]
        while not any(lock(file) for file in held):
            time.sleep(SLOT_POLL_SECONDS)
        yield


@contextmanager
def take_all_slots(slots: int, run: Path) -> Iterator[None]:
    """Wait until nobody of this run plays with real traffic, and keep others from it.

    They are taken in the same order by all who want them all, so that two don't wait for each
    other.
    """
    with ExitStack() as stack:
        for number in range(slots):
            file = stack.enter_context((run / f"slot-{number}").open("w"))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def share_node(run: Path) -> Iterator[None]:
    """Wait until nobody of this run has the node alone, and be one of those on it."""
    with (run / "node-users").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


@contextmanager
def own_node(run: Path) -> Iterator[None]:
    """Wait until nobody else of this run is on the node, and keep others from it."""
    with (run / "node-users").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def lock(file: TextIO) -> bool:
    """Try to lock a file; it is unlocked when it is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def prepare_node(cluster: Cluster, progress: Progress) -> None:
    """Everything that real traffic needs: the gateway, the model's images, our definitions."""
    cluster.install_gateway(progress)
    load_once(cluster, build_iris(progress), progress)
    prepare_simulated(cluster, progress)


def load_once(cluster: Cluster, archive: Path, progress: Progress) -> None:
    """Load the images of an archive, unless this very archive was loaded before."""
    with exclusive(cluster.directory / "loaded.lock"):
        loaded = cluster.directory / f"{archive.stem}.loaded"
        if not loaded.exists():
            with progress.step("loading the model's images"):
                cluster.load_image(archive)
            loaded.touch()


def prepare_simulated(cluster: Cluster, progress: Progress) -> None:
    """Our definitions alone; there is no gateway, and no Gateway API either.

    The operator's rights come with each operator.
    """
    progress.say("applying our definitions")
    cluster.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
    await_served(cluster, "crd/modeldeployments.canarium.dev", "crd/modelrevisions.canarium.dev")
