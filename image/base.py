"""The digest of the image's base: read from its registry and written into the Dockerfile.

``python image/base.py update`` brings it up to date, ``check`` fails where there is none, as before
a release. Nothing is written but the digest of bytes that were received.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

DOCKERFILE = Path(__file__).parents[1] / "Dockerfile"
LINE = re.compile(r"^ARG BASE=(?P<reference>\S+)$", re.MULTILINE)
REFERENCE = re.compile(
    r"(?P<host>[a-z0-9.-]+(:[0-9]+)?)/(?P<repository>[a-z0-9._/-]+):(?P<tag>[A-Za-z0-9_.-]+)"
    r"(@(?P<digest>sha256:[0-9a-f]{64}))?"
)
HOSTS = {"docker.io": "registry-1.docker.io"}
"Registries that are reached by another name than images have."
LOCAL = ("127.0.0.1", "localhost")
"Only there without TLS."
MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
CHALLENGE = re.compile(r'(?P<name>realm|service|scope)="(?P<value>[^"]*)"')
SECONDS = 30
MOST_BYTES = 4 * 2**20


class BaseImageError(Exception):
    """What is wrong, as a sentence."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A tag of a repository at a registry, and the digest that it had."""

    host: str
    repository: str
    tag: str
    digest: str = ""

    def __str__(self) -> str:
        named = f"{self.host}/{self.repository}:{self.tag}"
        return f"{named}@{self.digest}" if self.digest else named

    @property
    def url(self) -> str:
        """Where the registry has the tag's manifest."""
        place = HOSTS.get(self.host, self.host)
        scheme = "http" if place.partition(":")[0] in LOCAL else "https"
        return f"{scheme}://{place}/v2/{self.repository}/manifests/{self.tag}"


def read_reference(dockerfile: str) -> Reference:
    """The base that a Dockerfile names; raises BaseImageError where it names none by a tag."""
    line = LINE.search(dockerfile)
    found = REFERENCE.fullmatch(line["reference"]) if line else None
    if found is None:
        raise BaseImageError("Dockerfile: write ARG BASE=registry/repository:tag, in full")
    return Reference(found["host"], found["repository"], found["tag"], found["digest"] or "")


def write_reference(dockerfile: str, reference: Reference) -> str:
    """The Dockerfile with this base."""
    return LINE.sub(lambda _: f"ARG BASE={reference}", dockerfile, count=1)


def check(dockerfile: str) -> None:
    """Raise BaseImageError where the base has no digest, so that two builds could differ."""
    reference = read_reference(dockerfile)
    if not reference.digest:
        raise BaseImageError(f"Dockerfile: {reference} has no digest: make base-digest")


def fetch_digest(reference: Reference) -> str:
    """The digest of what the registry has under the tag now, computed from what it sent."""
    headers = {"Accept": ", ".join(MANIFESTS)}
    try:
        body, said = _get(reference.url, headers)
    except HTTPError as error:
        if error.code != 401:
            raise BaseImageError(f"{reference.url}: HTTP {error.code}") from error
        token = _fetch_token(error.headers.get("WWW-Authenticate", ""), reference)
        body, said = _get(reference.url, headers | {"Authorization": f"Bearer {token}"})
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    if said not in ("", digest):
        raise BaseImageError(f"{reference.url}: the registry says {said} and sent {digest}")
    return digest


def _fetch_token(challenge: str, reference: Reference) -> str:
    """A token for anybody, from where the registry says that there are some."""
    asked = {match["name"]: match["value"] for match in CHALLENGE.finditer(challenge)}
    realm = asked.pop("realm", "")
    place = urlsplit(realm)
    if place.scheme != "https" and place.hostname not in LOCAL:
        raise BaseImageError(f"{reference.url}: tokens are at {realm!r}, which is not https")
    body, _ = _get(f"{realm}?{urlencode(asked)}", {})
    found = json.loads(body)
    return str(found.get("token") or found["access_token"])


class _NoRedirects(HTTPRedirectHandler):
    """A manifest is where it is asked for; a token must not be taken elsewhere."""

    def redirect_request(self, *_: object) -> None:
        return None


def _get(url: str, headers: Mapping[str, str]) -> tuple[bytes, str]:
    """What is there, and the digest that the registry says it has ("" for none)."""
    request = Request(url, headers=dict(headers))  # noqa: S310 - https, or this machine
    with build_opener(_NoRedirects).open(request, timeout=SECONDS) as response:
        body = response.read(MOST_BYTES + 1)
        if len(body) > MOST_BYTES:
            raise BaseImageError(f"{url}: more than {MOST_BYTES} bytes")
        return body, response.headers.get("Docker-Content-Digest", "")


def update(path: Path) -> str:
    """Write the digest that the tag has now; what was done, as a sentence."""
    text = path.read_text(encoding="utf-8")
    reference = read_reference(text)
    try:
        new = replace(reference, digest=fetch_digest(reference))
    except (URLError, HTTPException, OSError, ValueError, KeyError) as error:
        raise BaseImageError(f"{reference.url}: {error}") from error
    if new == reference:
        return f"{reference} is up to date"
    path.write_text(write_reference(text, new), encoding="utf-8")
    return f"{path.name}: {new}"


def main(arguments: list[str]) -> int:
    """Update or check; the exit code."""
    parser = argparse.ArgumentParser(description="the digest of the image's base")
    parser.add_argument("verb", choices=("update", "check"))
    parser.add_argument("--file", type=Path, default=DOCKERFILE, help="the Dockerfile")
    options = parser.parse_args(arguments)
    try:
        if options.verb == "check":
            check(options.file.read_text(encoding="utf-8"))
        else:
            sys.stdout.write(f"{update(options.file)}\n")
    except BaseImageError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
