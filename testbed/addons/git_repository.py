"""A Git repository of one's own on loopback, and a person's hands in it.

It is served by Git's own `http-backend` behind a small web server, since sync tools clone over HTTP
and not from a folder. Whoever is asked for does the commits with Git itself.
"""

import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from testbed.programs.processes import ClusterError

BRANCH = "main"
BARE = "models.git"
IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "A person"), ("EMAIL", "person@example.com"))
}


@dataclass(frozen=True, slots=True)
class GitRepository:
    """A working copy of the branch `main`, and the URL that others clone it from."""

    work: Path
    url: str

    def commit(self, message: str, files: Mapping[str, str | None]) -> str:
        """Write files (None removes one), commit them and push; the commit's hash."""
        for name, text in files.items():
            path = self.work / name
            if text is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", message)
        return self._push()

    def revert(self) -> str:
        """`git revert` of the last commit, pushed; the new commit's hash."""
        self._git("revert", "--no-edit", "HEAD")
        return self._push()

    def head(self) -> str:
        """The hash of the last commit."""
        return self._git("rev-parse", "HEAD").strip()

    def _push(self) -> str:
        self._git("push", "--quiet", "origin", f"HEAD:{BRANCH}")
        return self.head()

    def _git(self, *words: str) -> str:
        return run_git(*words, directory=self.work)


def run_git(*words: str, directory: Path) -> str:
    """Standard output of git, untouched by anybody's settings; raises ClusterError."""
    alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **IDENTITY}
    command = ["git", *words]
    result = subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, **alone},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise ClusterError(f"{' '.join(command)}: {result.stderr.strip()}")
    return result.stdout


@contextmanager
def serve_repository(directory: Path) -> Iterator[GitRepository]:
    """A new, empty repository that is served until the block ends."""
    bare, work = directory / "served" / BARE, directory / "work"
    bare.parent.mkdir(parents=True)
    run_git("init", "--quiet", "--bare", f"--initial-branch={BRANCH}", BARE, directory=bare.parent)
    run_git("clone", "--quiet", str(bare), str(work), directory=directory)
    with _serve(bare.parent) as address:
        yield GitRepository(work, f"{address}/{BARE}")


@contextmanager
def _serve(root: Path) -> Iterator[str]:
    """Serve every repository below a folder; the server's URL."""

    class Handler(_Backend):
        projects = root

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class _Backend(BaseHTTPRequestHandler):
    """One request, answered by `git http-backend` as a CGI program (git-http-backend(1))."""

    projects: Path

    def do_GET(self) -> None:
        """What there is."""
        self._run(b"")

    def do_POST(self) -> None:
        """What is wanted of it."""
        self._run(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _run(self, body: bytes) -> None:
        asked = urlsplit(self.path)
        said = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.projects),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "PATH_INFO": asked.path,
            "QUERY_STRING": asked.query,
            "REQUEST_METHOD": self.command,
            "REMOTE_ADDR": self.client_address[0],
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        command = ["git", "http-backend"]
        done = subprocess.run(command, input=body, env=said, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        self._answer(BytesHeaderParser().parsebytes(head), content)

    def _answer(self, headers: Message, content: bytes) -> None:
        said = dict(headers.items())
        self.send_response(int(said.pop("Status", "200").split()[0]))
        for name, value in said.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing: a sync tool asks every second."""
