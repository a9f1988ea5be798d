"""What of a build context an image depends on: the files that its .dockerignore lets through."""

from fnmatch import fnmatch
from pathlib import Path

from testbed.programs.cache import compute_key


def compute_context_key(context: Path) -> str:
    """A key that changes with the name, the mode and the content of every file in the context."""
    files = find_context_files(context)
    return compute_key(
        *(
            part
            for path in files
            for part in (
                path.relative_to(context).as_posix(),
                f"{path.stat().st_mode:o}",
                path.read_bytes(),
            )
        )
    )


def find_context_files(context: Path) -> list[Path]:
    """The Dockerfile and the files that the builder is sent, sorted.

    Of .dockerignore's language it knows what ours use: ``*`` and ``?`` within a name, ``!``, and
    that a pattern covers what is below it; the last pattern that matches decides.
    """
    ignore = context / ".dockerignore"
    lines = ignore.read_text().splitlines() if ignore.exists() else []
    patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    sent = [
        path
        for path in context.rglob("*")
        if path.is_file() and not is_ignored(path.relative_to(context), patterns)
    ]
    return sorted({context / "Dockerfile", *sent})


def is_ignored(path: Path, patterns: list[str]) -> bool:
    """Whether the last pattern that matches the path, or a directory above it, shuts it out."""
    ignored = False
    for pattern in patterns:
        if covers(pattern.removeprefix("!").strip("/"), path):
            ignored = not pattern.startswith("!")
    return ignored


def covers(pattern: str, path: Path) -> bool:
    """Whether the pattern matches the path or one of the directories it is in."""
    length = len(Path(pattern).parts)
    if pattern.startswith("**/"):
        return any(fnmatch(part, pattern.removeprefix("**/")) for part in path.parts)
    return len(path.parts) >= length and all(
        fnmatch(part, wanted) for part, wanted in zip(path.parts, Path(pattern).parts, strict=False)
    )
