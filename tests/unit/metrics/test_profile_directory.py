from pathlib import Path

import pytest
from canarium.metrics.profile_directory import READ_AGAIN_SECONDS, OwnProfiles

GOOD = "requests: answers_total\nstatus: {labels: [code]}\n"


def test_profiles_are_the_files_of_a_mounted_config_map(tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "hidden").write_text(GOOD)
    (tmp_path / "ours").write_text(GOOD)
    (tmp_path / "theirs.yaml").write_text(GOOD)
    assert sorted(OwnProfiles(tmp_path).get()) == ["ours", "theirs"]


def test_a_change_is_seen_after_a_while_and_what_is_wrong_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    profiles = OwnProfiles(tmp_path, clock=lambda: now[0])
    (tmp_path / "ours").write_text(GOOD)
    assert sorted(profiles.get()) == ["ours"]
    (tmp_path / "wrong").write_text("colour: blue")
    assert sorted(profiles.get()) == ["ours"]
    assert caplog.messages == []
    for now[0] in (READ_AGAIN_SECONDS, 3 * READ_AGAIN_SECONDS):
        assert sorted(profiles.get()) == ["ours"]
    assert len(caplog.messages) == 1
    assert "profile wrong: " in caplog.messages[0]


def test_a_directory_that_is_gone_leaves_no_profiles(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert OwnProfiles(tmp_path / "gone").get() == {}
    assert caplog.messages == [
        f"profiles in {tmp_path}/gone cannot be read: No such file or directory"
    ]


def test_without_a_directory_there_are_none() -> None:
    assert OwnProfiles(None).get() == {}
