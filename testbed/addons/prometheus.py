"""A real Prometheus on loopback: Debian's package unpacked into the cache, nothing installed."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from testbed.programs.binaries import make_bin_directory
from testbed.programs.cache import keep
from testbed.programs.packages import run_apt
from testbed.programs.ports import find_free_ports
from testbed.programs.processes import ClusterError, wait_until
from testbed.programs.progress import Progress

READY_SECONDS = 120.0
PACKAGE = "prometheus"


def find_prometheus(progress: Progress) -> Path:
    """The executable: the machine's own, or the one of Debian's package."""
    return find_program("prometheus", progress)


def find_promtool(progress: Progress) -> Path:
    """The program that checks and tests rules, which comes with it."""
    return find_program("promtool", progress)


def find_program(name: str, progress: Progress) -> Path:
    """A program of Debian's package: the machine's own, or one that is fetched."""
    installed = shutil.which(name)
    if installed is not None:
        return Path(installed)
    if shutil.which("apt-get") is None:
        raise ClusterError(f"there is no program {name}, and no apt-get to fetch it with")
    entry = make_bin_directory() / PACKAGE
    if not entry.exists():
        with progress.step("fetching Prometheus"):
            keep(entry, unpack)
    return entry / "usr" / "bin" / name


def unpack(out: Path) -> None:
    """Fetch the package and unpack it, without its scripts."""
    if download(out.parent).returncode:
        run_apt("update")
        result = download(out.parent)
        if result.returncode:
            raise ClusterError(f"apt-get download failed:\n{result.stderr[-2000:]}")
    (archive,) = out.parent.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", str(archive), str(out)], check=True, capture_output=True)


def download(directory: Path) -> subprocess.CompletedProcess[str]:
    """Fetch the package's file into a directory."""
    command = ["apt-get", "-q", "download", PACKAGE]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


@contextmanager
def run_prometheus(
    directory: Path,
    targets: list[str],
    progress: Progress,
    labelled: Sequence[Mapping[str, str]] = (),
    more: Mapping[str, Any] | None = None,
) -> Iterator[str]:
    """Run one that scrapes these targets (host:port) all the time; gives its address.

    `labelled` has labels for each of them, or several sets: __metrics_path__ is the path. `more`
    is configuration besides, its scrape_configs instead of this one.
    """
    program = find_prometheus(progress)
    (port,) = find_free_ports(1)
    groups = [{"targets": targets, "labels": dict(labels)} for labels in labelled or [{}]]
    job = {"job_name": "answers", "static_configs": groups}
    often = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "1s"}
    config = directory / "prometheus.yml"
    config.write_text(json.dumps({"global": often, "scrape_configs": [job], **(more or {})}))
    command = [
        str(program),
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (directory / "log").open("w") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            yield await_ready(process, directory, port)
        finally:
            process.terminate()
            process.wait(60)


def await_ready(process: subprocess.Popen[bytes], directory: Path, port: int) -> str:
    """Wait until it listens and says so, and return its address."""
    words = "Server is ready to receive web requests"
    log = directory / "log"
    wait_until(lambda: process.poll() is not None or words in log.read_text(), READY_SECONDS)
    if process.poll() is not None or words not in log.read_text():
        raise ClusterError(f"Prometheus did not start:\n{log.read_text()[-2000:]}")
    return f"http://127.0.0.1:{port}"
