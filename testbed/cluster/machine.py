"""What a local node does to the machine beyond its processes, and how all of it is undone.

Undoing needs no memory of the start: it looks for what is there, so it also serves after a crash.
"""

import json
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from testbed.cluster.node_config import (
    BRIDGE,
    NODE_ADDRESS,
    POD_RANGE,
    RUN,
    make_iptables_cleanup,
)
from testbed.programs.processes import ClusterError, Process, kill, kill_all, observe

CGROUPS = Path("/sys/fs/cgroup")
CONTAINER_LOGS = Path("/var/log/containers")
NAT_ON_BRIDGES = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
POD_CHAIN = "CANARIUM-PODS"
LINK_ADDRESS = "02:63:61:6e:61:72"
"Of the bridge: locally administered, and the same for as long as it is there."
WEIGHT_OF_PODS = 4
"In processes of ordinary priority: a third of a machine on which eight others want to run."
TASKS = RUN / "containerd" / "io.containerd.runtime.v2.task" / "k8s.io"
ADDRESS_CACHE = Path("/var/lib/cni/results")
RECORD = RUN / "directory"


def read_holder() -> Path | None:
    """The directory of the node cluster that this machine has, or had when it crashed."""
    try:
        return Path(RECORD.read_text())
    except FileNotFoundError:
        return None


def claim(directory: Path) -> None:
    """Write down whose machine this is, before anything is done to it."""
    RUN.mkdir(mode=0o711, exist_ok=True)
    RECORD.write_text(str(directory))


def run(*command: str, stdin: str | None = None) -> str:
    """Standard output of a command of the system; raises ClusterError with what it said."""
    result = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ClusterError(f"{' '.join(command)}: {result.stderr.strip()}")
    return result.stdout


def make_network() -> bool:
    """Make the bridge with the node's address; True when bridged packets pass iptables.

    Its link address is given to it, so that pods have one node for as long as it is there. A
    bridge without one takes the lowest of its ports', which was seen to change as pods came and
    went. No request was lost by that in a trial.
    """
    if shutil.which("modprobe"):
        subprocess.run(["modprobe", "-q", "br_netfilter"], capture_output=True, check=False)
    run("ip", "link", "add", BRIDGE, "address", LINK_ADDRESS, "type", "bridge")
    prefix = POD_RANGE.partition("/")[2]
    run("ip", "address", "add", f"{NODE_ADDRESS}/{prefix}", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    let_pods_through()
    with suppress(FileNotFoundError):
        NAT_ON_BRIDGES.write_text("1")
        return True
    return False


def weigh_pods() -> None:
    """Give all pods together a share of the processors that they can serve with.

    The kubelet gives them what it takes for the whole machine, the weight of two processes. But
    here the control plane, the tests and their load run beside them, and each weighs as much as
    half of all pods: model servers then took 13 s to start instead of 3, and some answered nobody
    for seconds.
    """
    weights = {"cpu*/kubepods/cpu.shares": 1024, "kubepods/cpu.weight": 100}
    for pattern, ordinary in weights.items():
        for file in CGROUPS.glob(pattern):
            file.write_text(str(WEIGHT_OF_PODS * ordinary))


def let_pods_through() -> None:
    """Accept packets of pods where a firewall or a container engine drops them by default."""
    run("iptables", "-w", "-N", POD_CHAIN)
    run("iptables", "-w", "-A", POD_CHAIN, "-s", POD_RANGE, "-j", "ACCEPT")
    run("iptables", "-w", "-A", POD_CHAIN, "-d", POD_RANGE, "-j", "ACCEPT")
    for chain in ("INPUT", "FORWARD"):
        run("iptables", "-w", "-I", chain, "-j", POD_CHAIN)


def supports_overlay(directory: Path) -> bool:
    """Whether overlayfs can be mounted on this directory's file system."""
    trial = directory / "overlay-trial"
    parts = {name: trial / name for name in ("lower", "upper", "work", "merged")}
    for part in parts.values():
        part.mkdir(parents=True)
    options = f"lowerdir={parts['lower']},upperdir={parts['upper']},workdir={parts['work']}"
    mount = ["mount", "-t", "overlay", "overlay", "-o", options, str(parts["merged"])]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    if mounted:
        run("umount", str(parts["merged"]))
    shutil.rmtree(trial)
    return mounted


def find_foreign_kubelet() -> str | None:
    """A running kubelet or kube-proxy in our network that isn't ours, by name; or None."""
    ours = Path("/proc/self/ns/net").readlink()
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            name = (entry / "comm").read_text().strip() if entry.name.isdigit() else ""
            known = name in ("kubelet", "kube-proxy", "k3s-server", "k3s-agent", "k0s", "rke2")
            if known and (entry / "ns" / "net").readlink() == ours:
                return name
    return None


def clean(directory: Path) -> None:
    """Undo everything that a node cluster in ``directory`` did to this machine."""
    kill_all(directory)
    kill(find_container_processes())
    left = [*find_shim_sockets(), *find_address_records()]
    unmount_below(RUN)
    unmount_below(directory)
    remove_network()
    remove_cgroups()
    remove_log_links(directory)
    for path in left:
        path.unlink(missing_ok=True)
    shutil.rmtree(RUN, ignore_errors=True)


def list_containers() -> list[str]:
    """The ids of the containers, sandboxes among them, that our containerd runs or ran."""
    return [path.name for path in TASKS.iterdir()] if TASKS.exists() else []


def find_container_processes() -> list[Process]:
    """Processes in the control groups of the containers that our containerd runs."""
    names = list_containers()
    found = []
    for entry in Path("/proc").iterdir() if names else ():
        with suppress(OSError):
            groups = (entry / "cgroup").read_text() if entry.name.isdigit() else ""
            if any(name in groups for name in names):
                found.append(observe("container", int(entry.name)))
    return [process for process in found if process is not None]


def find_shim_sockets() -> list[Path]:
    """The sockets of our containers' shims, which all containerds keep in one place."""
    addresses = [path.read_text().strip() for path in TASKS.glob("*/address")]
    return [Path(address.removeprefix("unix://")) for address in addresses]


def find_address_records() -> list[Path]:
    """What CNI keeps of our containers' addresses, in a place that cannot be configured."""
    names = list_containers()
    records = ADDRESS_CACHE.iterdir() if ADDRESS_CACHE.exists() else ()
    return [path for path in records if any(name in path.name for name in names)]


def list_mounts_below(directory: Path) -> list[str]:
    """Mount points at or below a directory, the innermost first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    decoded = [point.encode().decode("unicode_escape") for point in points]
    inside = [point for point in decoded if Path(point).is_relative_to(directory)]
    return inside[::-1]


def unmount_below(directory: Path) -> None:
    """Detach every mount at or below a directory."""
    for point in list_mounts_below(directory):
        run("umount", "--lazy", point)


def remove_network() -> None:
    """Remove the bridge with what is plugged into it, and Kubernetes' iptables chains."""
    if Path(f"/sys/class/net/{BRIDGE}").exists():
        for port in json.loads(run("ip", "-json", "link", "show", "master", BRIDGE) or "[]"):
            # A port goes by itself when its pod's network namespace does.
            subprocess.run(
                ["ip", "link", "delete", port["ifname"]], capture_output=True, check=False
            )
        run("ip", "link", "delete", BRIDGE)
    for program in ("iptables", "ip6tables"):
        if shutil.which(program) and (script := make_iptables_cleanup(run(f"{program}-save"))):
            run(f"{program}-restore", "--noflush", "--wait", stdin=script)


def remove_cgroups() -> None:
    """Remove the pods' control groups, innermost first; one that somebody is in stays."""
    for root in [*CGROUPS.glob("kubepods"), *CGROUPS.glob("*/kubepods")]:
        for path, _, _ in os.walk(root, topdown=False):
            with suppress(OSError):
                Path(path).rmdir()


def remove_log_links(directory: Path) -> None:
    """Remove the links that kubelets make in a place that cannot be configured."""
    for link in CONTAINER_LOGS.iterdir() if CONTAINER_LOGS.exists() else ():
        if link.is_symlink() and link.readlink().is_relative_to(directory):
            link.unlink()
