"""What /readyz says of caches, namespaces and the cluster's version."""

from canarium.kube.informers.reflector import Reflector
from canarium.kube.informers.watched import make_reflectors
from canarium.shell.readiness import find_notices, find_problems

from tests.unit.kube.clock import VirtualClock
from tests.unit.kube.fake import FakeClient
from tests.unit.kube.informers.test_cache import make_cache

CLOCK = VirtualClock()


def make_synced(*namespaces: str) -> dict[tuple[str, str | None], Reflector]:
    """Caches that have listed everything a moment ago, by kind and namespace."""
    reflectors = make_reflectors(FakeClient(), make_cache(), namespaces, CLOCK.time)
    for reflector in reflectors:
        reflector._hear()
        reflector._enter("synced")
    return {(each.resource.plural, each.namespace): each for each in reflectors}


def forget(reflector: Reflector, why: str) -> None:
    reflector.synced.clear()
    reflector.problem = why


def test_nothing_is_said_when_all_is_well() -> None:
    reflectors = make_synced("a", "b").values()
    assert (find_problems(reflectors, {}), find_notices(reflectors, {}, (1, 30))) == ([], [])


def test_a_kind_that_may_not_be_read_in_the_whole_cluster_is_a_problem() -> None:
    reflectors = make_synced()
    forget(reflectors["pods", None], "403 Forbidden: no")
    want = ["pods: not listed yet (403 Forbidden: no)"]
    assert find_problems(reflectors.values(), {}) == want


def test_a_barred_namespace_is_a_notice_and_no_problem() -> None:
    reflectors = make_synced("a", "b")
    forget(reflectors["pods", "b"], "403 Forbidden: no")
    reflectors["jobs", "b"]._enter("absent")
    reflectors["jobs", "b"].problem = "403 Forbidden: no"
    barred = {"b": "403 Forbidden: no"}
    assert find_problems(reflectors.values(), barred) == []
    want = ["namespace b is not served: 403 Forbidden: no"]
    assert find_notices(reflectors.values(), barred, None) == want


def test_without_the_kind_of_revisions_nothing_can_be_rolled_out() -> None:
    reflectors = make_synced()
    reflectors["modelrevisions", None]._enter("absent")
    assert find_problems(reflectors.values(), {}) == [
        "modelrevisions: not served, so nothing can be rolled out: install Canarium's CRDs"
    ]


def test_a_kind_that_one_can_do_without_is_a_notice_where_a_right_or_our_crd_is_missing() -> None:
    reflectors = make_synced("a")
    reflectors["httproutes", "a"]._enter("absent")  # Gateway API isn't installed: nothing to say
    reflectors["gateways", None]._enter("absent")
    reflectors["gateways", None].problem = "403 Forbidden: no"
    reflectors["clustermetrictemplates", None]._enter("absent")
    assert find_notices(reflectors.values(), {}, None) == [
        "gateways: taken for absent (403 Forbidden: no)",
        "clustermetrictemplates: not served, so no metric can name one: install Canarium's CRDs",
    ]


def test_an_old_cluster_is_told() -> None:
    (said,) = find_notices([], {}, (1, 29))
    assert said.startswith("Kubernetes 1.29 is too old: Canarium needs 1.30 or newer;")
