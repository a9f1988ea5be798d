"""Flux's and Argo CD's own code on recorded ModelDeployments, against the table in docs/gitops."""

import pytest

from tests.cluster.gitops_view import judge
from tests.unit.gitops.recordings import read_recordings, read_table

pytestmark = [pytest.mark.timeout(600)]  # it may have to be compiled


def test_the_tools_show_what_the_table_says() -> None:
    recorded = read_recordings()

    shown = judge(list(recorded.values()))

    assert dict(zip(recorded, shown, strict=True)) == read_table()


def test_an_object_that_is_being_deleted_is_terminating_for_kstatus() -> None:
    recorded = read_recordings()["healthy"]
    going = {**recorded["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}

    (shown,) = judge([{**recorded, "metadata": going}])

    assert shown.kstatus == "Terminating"
