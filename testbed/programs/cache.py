"""The one place for everything that is kept between runs, each part keyed by what goes into it.

What is there is complete: an entry is made beside its place and moved there in one step.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def make_cache_directory() -> Path:
    """``$CANARIUM_CACHE``, or ``~/.cache/canarium``; made when it is missing."""
    directory = Path(os.environ.get("CANARIUM_CACHE") or Path.home() / ".cache" / "canarium")
    directory.mkdir(parents=True, exist_ok=True)
    return directory.resolve()


def compute_key(*inputs: bytes | str) -> str:
    """The first twelve hexadecimal digits of SHA-256 over the inputs, each with its length."""
    digest = hashlib.sha256()
    for item in inputs:
        data = item.encode() if isinstance(item, str) else item
        digest.update(f"{len(data)}:".encode() + data)
    return digest.hexdigest()[:12]


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Hold an advisory lock on a file, so that two processes don't make the same thing twice."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def keep(entry: Path, make: Callable[[Path], None]) -> Path:
    """Return the cached file or directory, calling ``make(path)`` to write it when it is missing.

    ``make`` gets a path beside the entry's that does not exist yet; a failure leaves nothing.
    """
    if entry.exists():
        return entry
    with exclusive(entry.parent / f".{entry.name}.lock"):
        if not entry.exists():
            workplace = Path(tempfile.mkdtemp(dir=entry.parent, prefix=f".{entry.name}."))
            try:
                make(workplace / entry.name)
                (workplace / entry.name).rename(entry)
            finally:
                shutil.rmtree(workplace, ignore_errors=True)
    return entry
