"""Brings clusters up, finds running ones, and takes them down, whichever kind they are."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from testbed.cluster import existing, kind, node
from testbed.cluster.cluster import Cluster, Kind, make_clusters_directory, read_state
from testbed.cluster.control_plane import ControlPlane, start_control_plane
from testbed.programs.cache import exclusive
from testbed.programs.processes import ClusterError, Process, kill_all, observe_self
from testbed.programs.progress import Progress

Tier = Literal["auto", "node", "control-plane", "kind"]
CLASSES: dict[Kind, type[Cluster]] = {
    "control-plane": ControlPlane,
    "node": node.NodeCluster,
    "kind": kind.KindCluster,
    "context": existing.ExistingCluster,
}
STARTER = "starter.json"
DEFAULT_NAME = "canarium"
DEFAULT_NODES = 3
NO_WAY = (
    "no cluster with real traffic can be started here: run as root on Linux,"
    " or install kind and a container engine (https://kind.sigs.k8s.io)"
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for: ``owned`` clusters go when the asking process is gone."""

    name: str = DEFAULT_NAME
    tier: Tier = "auto"
    nodes: int = DEFAULT_NODES
    context: str | None = None
    owned: bool = False


def choose_kind(wish: Wish) -> Kind:
    """The kind of cluster for a wish: kind before a local node; raises where neither can be had."""
    if wish.context:
        return "context"
    if wish.tier != "auto":
        return wish.tier
    if kind.is_usable():
        return "kind"
    if node.is_usable():
        return "node"
    raise ClusterError(NO_WAY)


def up(wish: Wish, progress: Progress) -> Cluster:
    """The cluster of this name: the running one if it can be used, else a new one."""
    remove_abandoned(progress)
    directory = make_clusters_directory() / wish.name
    with exclusive(lock_of(wish.name)):
        running = load(directory)
        if running is not None and running.is_alive():
            return reuse(running, wish, progress)
        remove(directory, progress)
        chosen = choose_kind(wish)
        directory.mkdir()
        us = observe_self()
        write_starter(directory, us)
        cluster = start(directory, chosen, wish, progress)
        cluster.owner = us if wish.owned else None
        cluster.save()
        return cluster


def write_starter(directory: Path, us: Process) -> None:
    """Write down who starts the cluster, in one step: others look at any moment."""
    written = directory / f"{STARTER}.new"
    written.write_text(json.dumps(asdict(us)))
    written.rename(directory / STARTER)


def reuse(cluster: Cluster, wish: Wish, progress: Progress) -> Cluster:
    """Take a running cluster, unless it is of another kind than the one asked for."""
    wanted = None if wish.tier == "auto" and not wish.context else choose_kind(wish)
    if wanted not in (None, cluster.kind):
        raise ClusterError(
            f"cluster {cluster.name!r} runs and is of kind {cluster.kind}, not {wanted}:"
            f" take it down first, or choose another name"
        )
    progress.say(f"cluster {cluster.name!r} ({cluster.kind}) is already running")
    return cluster


def start(directory: Path, chosen: Kind, wish: Wish, progress: Progress) -> Cluster:
    """Start a cluster of the chosen kind in an empty directory."""
    starters: dict[Kind, Callable[[], Cluster]] = {
        "control-plane": lambda: start_control_plane(directory, wish.nodes, progress),
        "node": lambda: node.start_node(directory, progress),
        "kind": lambda: kind.start_kind(directory, progress),
        "context": lambda: existing.use_context(directory, wish.context or ""),
    }
    return starters[chosen]()


def find(name: str = DEFAULT_NAME) -> Cluster:
    """The running cluster of this name; raises ClusterError when there is none that works."""
    cluster = load(make_clusters_directory() / name)
    if cluster is None or not cluster.is_alive():
        raise ClusterError(f"no cluster {name!r} is running: start it with `make cluster-up`")
    return cluster


def load(directory: Path) -> Cluster | None:
    """What the state file in a directory describes, running or not.

    Another checkout may have written it, with fields that this one doesn't know.
    """
    state = read_state(directory)
    if state is None:
        return None
    chosen = CLASSES[state["kind"]]
    known = {field.name for field in fields(chosen)}
    return chosen(**{name: value for name, value in state.items() if name in known})


def list_clusters() -> list[Cluster]:
    """Every cluster that has a state file, running or not."""
    return [cluster for path in list_directories() if (cluster := load(path)) is not None]


def down(name: str, progress: Progress) -> None:
    """Take a cluster down, whatever state it is in; does nothing when there is none."""
    with exclusive(lock_of(name)):
        remove(make_clusters_directory() / name, progress)


def remove(directory: Path, progress: Progress) -> None:
    """Stop what a directory describes, end what a crash left of it, and delete it."""
    if not directory.exists():
        return
    with progress.step(f"removing cluster {directory.name!r}"):
        cluster = load(directory)
        if cluster is not None:
            cluster.stop()
        kill_all(directory)
        node.release(directory)
        shutil.rmtree(directory, ignore_errors=True)


def remove_abandoned(progress: Progress) -> None:
    """Take down the clusters whose owner, or starter, has gone without doing so."""
    for directory in list_directories():
        if is_abandoned(directory):
            with exclusive(lock_of(directory.name)):
                if is_abandoned(directory):
                    remove(directory, progress)


def is_abandoned(directory: Path) -> bool:
    """Whether nobody will come back for what is there: a start was cut short, or an owner died."""
    cluster = load(directory)
    if cluster is not None:
        return cluster.owner is not None and not cluster.owner.is_alive()
    try:
        starter = Process(**json.loads((directory / STARTER).read_text()))
    except FileNotFoundError:
        return False  # it is being made, or unmade, just now
    return not starter.is_alive()


def list_directories() -> list[Path]:
    """The directory of every cluster."""
    return sorted(path for path in make_clusters_directory().iterdir() if path.is_dir())


def lock_of(name: str) -> Path:
    """The lock that is held while the cluster of this name is started or removed."""
    return make_clusters_directory() / f".{name}.lock"
