"""Requests that routes of others get: said, with what is left."""

from __future__ import annotations

from dataclasses import replace

from canarium.core.observed import Claim, Rival, Share
from canarium.core.spec import ParentRef, PathMatch, Traffic
from canarium.routing.claims import list_claims

from tests.properties.world import NAMESPACE, World, make_spec

PUBLIC = ParentRef("public", "gateways")
TWO_PATHS = Traffic(
    router="GatewayAPI",
    parent_refs=(PUBLIC,),
    hostnames=("models.example.com",),
    paths=(PathMatch(value="/risk"), PathMatch(value="/fraud")),
)
CLAIMS = list_claims(TWO_PATHS, NAMESPACE)
CURE = "write another host name or path in spec.traffic, or take it from the other"


def serve(*rivals: Rival) -> World:
    world = World(make_spec("1", traffic=TWO_PATHS))
    world.run_until("Idle")
    world.rivals = rivals
    world.settle()
    return world


def say_routed(world: World) -> str:
    return next(each.message for each in world.status.conditions if each.type == "Routed")


def test_what_nobody_else_asks_for_is_no_matter() -> None:
    world = serve()
    assert (world.condition("Ready"), world.condition("Routed")) == (
        ("True", "Serving"),
        ("True", "Accepted"),
    )


def test_a_model_whose_requests_all_go_elsewhere_is_not_ready_and_names_the_other() -> None:
    world = serve(Rival(NAMESPACE, "older", CLAIMS))
    told = (
        "ModelDeployment older has models.example.com/risk at gateways/public already, with an"
        f" older route, so no request comes here: {CURE}"
    )
    assert world.condition("Ready") == ("False", "HostnameTaken")
    assert (world.status.reason, world.status.message) == (
        "HostnameTaken",
        f"version 1 is ready; {told}",
    )
    assert say_routed(world).endswith(told)
    assert world.condition("Routed") == ("True", "HostnameTaken")


def test_it_is_an_event_that_another_has_the_address_and_none_that_it_serves_all() -> None:
    world = World(make_spec("1", traffic=TWO_PATHS))
    world.rivals = (Rival(NAMESPACE, "older", CLAIMS),)
    world.run_until("Idle")
    world.settle()
    told = [(each.type, each.reason) for each in world.told]
    assert ("Warning", "HostnameTaken") in told
    assert ("Normal", "Healthy") not in told


def test_a_model_with_something_left_is_ready_and_told_what_it_does_not_get() -> None:
    world = serve(Rival(NAMESPACE, "older", CLAIMS[1:]))
    told = (
        "ModelDeployment older has models.example.com/fraud at gateways/public already, with an"
        f" older route, so those requests don't come here: {CURE}"
    )
    assert world.condition("Ready") == ("True", "Serving")
    assert world.condition("Routed") == ("True", "HostnameShared")
    assert world.status.message == f"version 1 serves; {told}"


def test_of_another_namespace_nothing_but_the_namespace_is_said_and_of_many_only_three() -> None:
    theirs = (Rival("marketing", "secret-plan", CLAIMS), Rival("marketing", "another", CLAIMS))
    ours = tuple(Rival(NAMESPACE, name, CLAIMS) for name in ("a", "b", "c", "d"))
    world = serve(*theirs, *ours)
    assert "secret-plan" not in world.status.message
    assert world.status.message.startswith(
        "version 1 is ready; a ModelDeployment of namespace marketing, ModelDeployment a,"
        " ModelDeployment b and others have models.example.com/risk at gateways/public already"
    )


def part(*shares: Share, namespace: str = "marketing", claims: tuple[Claim, ...] = CLAIMS) -> World:
    return serve(*(Rival(namespace, "plan", claims, "HTTPRoute", share) for share in shares))


def test_an_older_route_that_is_no_models_is_named_by_its_kind() -> None:
    world = serve(Rival(NAMESPACE, "legacy", CLAIMS, "HTTPRoute"))
    assert world.condition("Ready") == ("False", "HostnameTaken")
    told = "HTTPRoute legacy has models.example.com/risk at gateways/public already, with an older"
    assert told in world.status.message


def test_a_part_that_goes_elsewhere_by_a_longer_path_is_a_note() -> None:
    world = part("LongerPath")
    told = (
        "an HTTPRoute of namespace marketing has a part of the requests for"
        " models.example.com/risk at gateways/public, by a route for a longer path; ask there if"
        " that isn't meant to be so"
    )
    assert world.condition("Ready") == ("True", "Serving")
    assert world.condition("Routed") == ("True", "HostnameShared")
    assert world.status.message == f"version 1 serves; {told}"
    assert say_routed(world).endswith(told)
    assert ("Warning", "HostnameTaken") not in [(each.type, each.reason) for each in world.told]


def test_all_ways_of_asking_for_less_are_told_and_nobodys_names_or_paths() -> None:
    world = part("LongerPath", "Matches", "NarrowerHost")
    words = "by a route for a longer path or headers, a method or a query or one of the host names"
    assert words in world.status.message
    assert "plan" not in world.status.message


def test_what_is_lost_as_a_whole_is_told_rather_than_a_part() -> None:
    longer = Rival("marketing", "plan", CLAIMS, "HTTPRoute", "LongerPath")
    world = serve(longer, Rival(NAMESPACE, "older", CLAIMS[:1]))
    assert world.condition("Ready") == ("True", "Serving")
    assert "ModelDeployment older has models.example.com/risk" in world.status.message
    assert "marketing" not in world.status.message


def test_what_is_no_longer_asked_for_is_nobodys_part() -> None:
    others = list_claims(replace(TWO_PATHS, hostnames=("other.example.com",)), NAMESPACE)
    assert part("LongerPath", claims=others).condition("Routed") == ("True", "Accepted")


def test_the_model_is_ready_again_when_the_other_is_gone() -> None:
    world = serve(Rival(NAMESPACE, "older", CLAIMS))
    world.rivals = ()
    world.settle()
    assert world.condition("Ready") == ("True", "Serving")
