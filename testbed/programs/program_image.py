"""Images put together by hand: one static program and nothing else, as a docker-archive.

The same program always gives the same bytes.
"""

import hashlib
import io
import json
import tarfile
from pathlib import Path

from testbed.programs.binaries import (
    ENVOY_GATEWAY,
    PAUSE,
    build,
    find_traefik,
    make_bin_directory,
)
from testbed.programs.cache import compute_key, keep
from testbed.programs.progress import Progress

PAUSE_IMAGE = "canarium.dev/pause:1"
TRAEFIK_IMAGE = "canarium.dev/traefik:1"
ENVOY_GATEWAY_IMAGE = "canarium.dev/envoy-gateway:1"
ARCHITECTURES = {b"\x3e\x00": "amd64", b"\xb7\x00": "arm64"}


def make_pause_image(progress: Progress) -> Path:
    """The sandbox of every pod; tests also use it as a tiny web server (see pause/main.go)."""
    return make_program_image(build(PAUSE, progress), PAUSE_IMAGE)


def make_traefik_image(progress: Progress) -> Path:
    """Traefik, for a cluster whose pods this machine cannot reach."""
    return make_program_image(find_traefik(progress), TRAEFIK_IMAGE)


def make_envoy_gateway_image(progress: Progress) -> Path:
    """Envoy Gateway's controller, which pods call by its name."""
    program = build(ENVOY_GATEWAY, progress)
    return make_program_image(program, ENVOY_GATEWAY_IMAGE, "usr/local/bin/envoy-gateway")


def make_program_image(program: Path, name: str, inside: str = "program") -> Path:
    """A docker-archive of one program under this image name; kept in the cache."""
    entry = make_bin_directory() / f"image-{compute_key(name, str(program), inside)}.tar"
    return keep(entry, lambda out: write_image(program, name, out, inside))


def write_image(program: Path, name: str, out: Path, inside: str = "program") -> None:
    """Write a docker-archive whose one layer holds the program at the path ``inside``."""
    layer = make_tar({inside: program.read_bytes()}, mode=0o755)
    digest = hashlib.sha256(layer).hexdigest()
    described = {
        "architecture": find_architecture(program),
        "os": "linux",
        "config": {"Entrypoint": [f"/{inside}"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    config = json.dumps(described).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    row = {"Config": config_name, "RepoTags": [name], "Layers": [f"{digest}/layer.tar"]}
    files = {config_name: config, f"{digest}/layer.tar": layer}
    out.write_bytes(make_tar({**files, "manifest.json": json.dumps([row]).encode()}))


def make_tar(files: dict[str, bytes], mode: int = 0o644) -> bytes:
    """A tar archive that depends on nothing but the files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def find_architecture(program: Path) -> str:
    """Go's name for the machine that an ELF executable is for."""
    with program.open("rb") as file:
        return ARCHITECTURES[file.read(20)[18:20]]
