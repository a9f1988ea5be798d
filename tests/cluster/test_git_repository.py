"""The Git repository of the tests is one that Git itself clones over HTTP and follows."""

from pathlib import Path

from testbed.addons.git_repository import run_git, serve_repository


def test_what_is_committed_is_fetched_over_http_and_what_is_reverted_is_gone(
    tmp_path: Path,
) -> None:
    (tmp_path / "own").mkdir()
    clone = tmp_path / "clone"
    with serve_repository(tmp_path / "own") as git:
        first = git.commit("one", {"models/a.yaml": "a: 1\n", "models/b.yaml": "b: 1\n"})
        run_git("clone", "--quiet", git.url, str(clone), directory=tmp_path)
        second = git.commit("another", {"models/a.yaml": "a: 2\n", "models/b.yaml": None})
        run_git("pull", "--quiet", directory=clone)
        seen = (clone / "models" / "a.yaml").read_text(), (clone / "models" / "b.yaml").exists()
        third = git.revert()
        run_git("pull", "--quiet", directory=clone)

    assert seen == ("a: 2\n", False)
    assert (clone / "models" / "a.yaml").read_text() == "a: 1\n"
    assert (clone / "models" / "b.yaml").exists()
    history = run_git("log", "--format=%H", directory=clone).split()
    assert history == [third, second, first]
