import pytest
from canarium.errors import ConflictError
from canarium.sim import fields
from canarium.sim.fields import Json, Owners

NOBODY: Owners = {}


def apply(
    live: Json, owners: Owners, manager: str, spec: Json, *, force: bool = False
) -> tuple[Json, Owners]:
    return fields.apply(live, owners, manager, {"spec": spec}, force=force)


def test_two_managers_own_their_fields_side_by_side() -> None:
    body, owners = apply({}, NOBODY, "a", {"image": "x"})
    body, owners = apply(body, owners, "b", {"replicas": 3})
    assert body == {"spec": {"image": "x", "replicas": 3}}
    assert owners == {"a": {("spec", "image")}, "b": {("spec", "replicas")}}


def test_what_a_manager_leaves_out_goes() -> None:
    body, owners = apply({}, NOBODY, "a", {"image": "x", "labels": {"one": "1"}})
    body, _ = apply(body, owners, "a", {"image": "x"})
    assert body == {"spec": {"image": "x"}}


def test_what_somebody_else_owns_too_stays() -> None:
    body, owners = apply({}, NOBODY, "a", {"image": "x", "replicas": 3})
    body, owners = apply(body, owners, "b", {"replicas": 3})
    body, _ = apply(body, owners, "a", {"image": "x"})
    assert body == {"spec": {"image": "x", "replicas": 3}}


def test_anothers_field_is_changed_by_force_alone() -> None:
    body, owners = apply({}, NOBODY, "a", {"image": "x"})
    with pytest.raises(ConflictError, match='Apply failed with 1 conflicts: conflict with "a"'):
        apply(body, owners, "b", {"image": "y"})
    body, owners = apply(body, owners, "b", {"image": "y"}, force=True)
    assert (body, owners) == (
        {"spec": {"image": "y"}}, {"a": frozenset(), "b": {("spec", "image")}},
    )  # fmt: skip


def test_selectors_and_lists_are_replaced_as_a_whole() -> None:
    body, owners = apply({}, NOBODY, "a", {"selector": {"x": "1"}, "ports": [1, 2]})
    body, _ = apply(body, owners, "a", {"selector": {"y": "2"}, "ports": [3]})
    assert body == {"spec": {"selector": {"y": "2"}, "ports": [3]}}


def test_an_edit_takes_over_what_it_changes() -> None:
    body, owners = apply({}, NOBODY, "a", {"image": "x", "replicas": 3})
    edited = fields.write(body, {"spec": {"image": "x", "replicas": 5}}, owners, "kubectl")
    assert edited == {"a": {("spec", "image")}, "kubectl": {("spec", "replicas")}}
