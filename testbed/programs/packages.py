"""The Debian packages that a local node needs, installed when they are missing."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.programs.processes import ClusterError
from testbed.programs.progress import Progress

CNI_PLUGINS = Path("/usr/lib/cni")
NEEDED = {
    "containerd": "containerd",
    "ctr": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "runc": "runc",
    str(CNI_PLUGINS / "bridge"): "containernetworking-plugins",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "openssl": "openssl",
}
POLICY = Path("/usr/sbin/policy-rc.d")
FORBID_STARTS = (
    "#!/bin/sh\n# While a test cluster installs containerd: start no services.\nexit 101\n"
)


def extend_path() -> None:
    """Let system programs be found by a root whose PATH is an ordinary user's."""
    path = os.environ.get("PATH", "").split(os.pathsep)
    missing = [name for name in ("/usr/sbin", "/sbin") if name not in path]
    os.environ["PATH"] = os.pathsep.join([*path, *missing])


def find_missing() -> list[str]:
    """The packages whose programs are not there."""
    return sorted({package for program, package in NEEDED.items() if not shutil.which(program)})


def ensure(progress: Progress) -> None:
    """Install what is missing; Debian's own services are not started by it."""
    missing = find_missing()
    if not missing:
        return
    names = " ".join(missing)
    if shutil.which("apt-get") is None:
        raise ClusterError(f"a local node needs these programs, install them first: {names}")
    with progress.step(f"installing {names}"), no_services_started():
        run_apt("update")
        run_apt("install", "--yes", "--no-install-recommends", *missing)


def run_apt(*arguments: str) -> None:
    """Run apt-get without questions, or raise with its last words."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120", *arguments]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ClusterError(f"apt-get {arguments[0]} failed:\n{result.stderr[-2000:]}")


@contextmanager
def no_services_started() -> Iterator[None]:
    """Keep package scripts from starting services, unless the machine has a rule of its own."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text(FORBID_STARTS)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
