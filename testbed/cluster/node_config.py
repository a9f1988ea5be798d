"""The configuration files of a local node: containerd, CNI, kubelet, kube-proxy. No I/O here."""

import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

from testbed.programs.packages import CNI_PLUGINS
from testbed.programs.program_image import PAUSE_IMAGE

BRIDGE = "canarium0"
NETWORK = "canarium"
NODE_ADDRESS = "198.18.0.1"
POD_RANGE = "198.18.0.0/17"
DNS_ADDRESS = "198.19.0.10"
RUN = Path("/run/canarium-node")
CONTAINERD_SOCKET = RUN / "containerd.sock"


def make_containerd_config(directory: Path, snapshotter: str) -> str:
    """containerd with a root, a state directory and a socket of its own."""
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""version = 2
root = "{directory / "containerd"}"
state = "{RUN / "containerd"}"

[grpc]
address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.internal.v1.opt"]
path = "{directory / "containerd-opt"}"

[{cri}]
sandbox_image = "{PAUSE_IMAGE}"
restrict_oom_score_adj = true
disable_apparmor = true
netns_mounts_under_state_dir = true
tolerate_missing_hugetlb_controller = true

[{cri}.containerd]
snapshotter = "{snapshotter}"

[{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[{cri}.containerd.runtimes.runc.options]
SystemdCgroup = false
Root = "{RUN / "runc"}"

[{cri}.cni]
bin_dir = "{CNI_PLUGINS}"
conf_dir = "{directory / "cni"}"
"""


def make_cni_config() -> dict[str, Any]:
    """Pods on one bridge, their addresses given out on this machine."""
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": POD_RANGE, "gateway": NODE_ADDRESS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(RUN / "addresses"),
    }
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "hairpinMode": True,
        "ipam": addresses,
    }
    return {"cniVersion": "1.0.0", "name": NETWORK, "plugins": [bridge]}


def make_kubelet_config(directory: Path, port: int, health_port: int) -> dict[str, Any]:
    """A kubelet that shares its machine: it evicts nothing and leaves swap and cgroups alone."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "port": port,
        "healthzPort": health_port,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(directory / "certificates" / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "failCgroupV1": False,
        "featureGates": {"KubeletInUserNamespace": True},
        "localStorageCapacityIsolation": False,
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "evictionHard": {"memory.available": "0%", "nodefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
        "maxPods": 250,
        "podLogsDir": str(directory / "pod-logs"),
        "volumePluginDir": str(directory / "volume-plugins"),
        "serializeImagePulls": False,
        "kubeAPIQPS": 500,
        "kubeAPIBurst": 1000,
    }


def make_proxy_config(kubeconfig: Path, ports: list[int], *, masquerade: bool) -> dict[str, Any]:
    """kube-proxy in iptables mode; ``masquerade`` where bridged packets don't pass iptables."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": str(kubeconfig), "qps": 500, "burst": 1000},
        "clusterCIDR": POD_RANGE,
        "nodePortAddresses": ["127.0.0.0/8"],
        "conntrack": {"maxPerCore": 0, "min": 0},
        "healthzBindAddress": f"127.0.0.1:{ports[0]}",
        "metricsBindAddress": f"127.0.0.1:{ports[1]}",
        "iptables": {"masqueradeAll": masquerade, "minSyncPeriod": "200ms"},
    }


def make_iptables_cleanup(saved: str) -> str:
    """What to feed ``iptables-restore --noflush`` to undo Kubernetes' and our own chains.

    ``saved`` is iptables-save's output. Rules of strangers that jump to such a chain are removed,
    the chains are emptied, then deleted; everything else stays. Empty when there is nothing.
    """
    script: list[str] = []
    table: list[str] = []
    for line in saved.splitlines():
        if line.startswith("*"):
            table = [line]
        elif line == "COMMIT":
            script += make_table_cleanup(table)
        else:
            table.append(line)
    return "".join(f"{line}\n" for line in script)


def make_table_cleanup(table: list[str]) -> list[str]:
    """The clean-up of one table of iptables-save's output, which begins with its ``*name``."""
    chains = [line[1:].split()[0] for line in table if line.startswith(":")]
    ours = [chain for chain in chains if is_our_chain(chain)]
    if not ours:
        return []
    jumps = [
        "-D" + line.removeprefix("-A")
        for line in table
        if line.startswith("-A ") and not is_our_chain(line.split()[1]) and jumps_to_ours(line)
    ]
    emptied = [f":{chain} - [0:0]" for chain in ours]
    return [table[0], *emptied, *jumps, *(f"-X {chain}" for chain in ours), "COMMIT"]


def is_our_chain(chain: str) -> bool:
    """Whether a chain is made by the kubelet, by kube-proxy or by us."""
    return chain.startswith(("KUBE-", "CANARIUM-"))


def jumps_to_ours(rule: str) -> bool:
    """Whether a rule's target is such a chain."""
    words = shlex.split(rule)
    return any(word in ("-j", "-g") and is_our_chain(target) for word, target in pairwise(words))
