"""A cluster with the chart's own rights and policies, and somebody who has rights in one namespace.

What the tenant may do is what the chart's roles for people give: ModelDeployments in that namespace
and nothing else. The operator is the chart's own service account, by a token of it.
"""

from __future__ import annotations

import copy
import itertools
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from canarium.api.rules import VALIDATIONS
from canarium.api.schema import KINDS, make_crd

from testbed.addons.helm import NAMESPACE, RELEASE, Values, render_chart
from testbed.cluster.cluster import Cluster, make_list
from testbed.cluster.credentials import write_kubeconfig
from testbed.operators.apiserver import Apiserver
from testbed.operators.running import Child, NotRunningError, is_ok, spawn
from testbed.programs.ports import find_free_ports
from testbed.programs.processes import ClusterError
from testbed.scenario.scenario import Scenario

Json = dict[str, Any]
TENANT = "tenant"
ACCOUNT = RELEASE
OPERATOR = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
HOSTNAMES = "canarium.dev/hostnames"
"The annotation of a Namespace that gives it host names."
RBAC = "rbac.authorization.k8s.io"
UNGUARDED = "unguarded.example.com"
POLICY_SECONDS = 60.0
READY_SECONDS = 90.0
INSTALLED = (
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "Role",
    "RoleBinding",
    "ServiceAccount",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
)
"What of the chart is applied. Nodes here run no program, so the operator runs beside them."
EDITS: Json = {
    "apiGroups": ["canarium.dev"],
    "resources": ["modeldeployments"],
    "verbs": ["create"],
}
VIEWS: Json = {**EDITS, "resources": ["modelrevisions"], "verbs": ["get"]}
"One right of each of the chart's two roles for people."
MAKES: Json = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["create"]}
"One of the operator's own."
GUARDS = ("enum", "maxItems", "maxLength", "maxProperties", "pattern", VALIDATIONS)
POLICY = "validatingadmissionpolicy"
BINDING = f"{POLICY}binding"


@dataclass(slots=True)
class Operator:
    """The operator as the chart's service account, beside the cluster, for all namespaces.

    Tests share it, for starting one takes longer than most of what is tried on it.
    """

    config: Path
    directory: Path
    options: tuple[str, ...] = ()
    child: Child | None = None
    started: int = 0
    address: str = ""
    "Where it answers probes, as host:port."

    @property
    def log(self) -> Path:
        """What it has said since it was last started."""
        return self.directory / f"operator-{self.started}.log"

    def start(self, *options: str) -> None:
        """Have it run with just these options, and wait until it is ready."""
        if self.child is not None and self.child.alive and self.options == options:
            return
        self.stop()
        self.options, self.started = options, self.started + 1
        self.address = f"127.0.0.1:{find_free_ports(1)[0]}"
        words = ["canarium", "operator", "run", "--kubeconfig", str(self.config)]
        words += ["--no-leader-election", "--probe-address", self.address, *options]
        self.child = spawn(words, self.log)
        until(self._is_ready, READY_SECONDS, "a ready operator")

    def _is_ready(self) -> bool:
        self.check()
        return is_ok(f"http://{self.address}/readyz")

    def check(self) -> None:
        """Raise NotRunningError, once, where it has ended by itself."""
        child = self.child
        if child is not None and not child.alive:
            self.child = None
            raise NotRunningError(child.tail())

    def stop(self) -> None:
        """End it, if it runs, and see that it ended well; the next test has another one anyway."""
        child, self.child = self.child, None
        if child is not None and child.end() != 0:
            raise NotRunningError(f"the operator did not end well: {child.tail()}")


@dataclass(slots=True)
class Estate:
    """The cluster, the chart's objects as they are rendered, and the operator's kubeconfig."""

    cluster: Cluster
    directory: Path
    chart: list[Json] = field(default_factory=list)
    operator: Operator = field(init=False)
    marks: Iterator[int] = field(default_factory=itertools.count)
    "Numbers of the policies that tell how far the apiserver has read."

    def __post_init__(self) -> None:
        """The operator is not started yet."""
        self.operator = Operator(self.operator_config, self.directory)

    @property
    def operator_config(self) -> Path:
        """The kubeconfig of the chart's service account."""
        return self.directory / "operator.yaml"

    def install(self) -> None:
        """Apply the chart without what runs, and the kind that has no guards."""
        cluster, self.chart = self.cluster, render_chart()
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(make_namespace(NAMESPACE)))
        wanted = [item for item in self.chart if item["kind"] in INSTALLED]
        namespaced = ("-n", NAMESPACE)
        definitions = [item for item in wanted if item["kind"] == "CustomResourceDefinition"]
        rest = [item for item in wanted if item not in definitions]
        apply_all(cluster, [*definitions, make_unguarded()])
        cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=90s")
        cluster.kubectl("apply", *namespaced, "--server-side", "-f", "-", stdin=make_list(rest))
        self.settle()
        self.wait_for_right(OPERATOR, MAKES, "default")
        token = cluster.kubectl(*namespaced, "create", "token", ACCOUNT, "--duration=2h")
        admin = json.loads(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
        authority = Path(admin["certificate-authority"])
        write_kubeconfig(self.operator_config, admin["server"], authority, token)

    @contextmanager
    def with_values(self, values: Values, name: str = "routes") -> Iterator[None]:
        """Have one of the chart's policies as other values make it until the end of the block."""
        apply_all(self.cluster, find_policy(render_chart(values), name))
        self.settle()
        try:
            yield
        finally:
            apply_all(self.cluster, find_policy(self.chart, name))
            self.settle()

    @contextmanager
    def without(self, policy: str) -> Iterator[None]:
        """Take the binding of one of the chart's policies away until the end of the block."""
        name = f"{RELEASE}-{policy}"
        self.cluster.kubectl("delete", BINDING, name)
        self.settle()
        try:
            yield
        finally:
            bindings = [
                item
                for item in self.chart
                if item["kind"].lower() == BINDING and item["metadata"]["name"] == name
            ]
            apply_all(self.cluster, bindings)
            self.settle()

    def settle(self) -> None:
        """Wait until the policies in force are those that are stored.

        The apiserver hears of policies and of bindings in the order of their writes and takes them
        over together, once a second. So a policy that is written last tells of all before it; what
        a test wants to see refused or taken may be so for another reason.
        """
        mark = f"read-as-far-as-{next(self.marks)}"
        mine = make_mark(mark)
        for item in mine:
            apply_all(self.cluster, [item])
        body = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": mark}})
        words = ("-n", "default", "create", "--dry-run=server", "-f", "-")
        refused = f"ValidatingAdmissionPolicy '{mark}'"
        until(
            lambda: refused in told(lambda: self.cluster.kubectl(*words, stdin=body)),
            POLICY_SECONDS,
            "the policies that are stored",
        )
        for item in mine:
            self.cluster.kubectl("delete", item["kind"], mark, "--wait=false")

    def may(self, user: str, rule: Mapping[str, Any], namespace: str) -> bool:
        """Whether the authorizer lets a user do the last that a rule of a Role allows."""
        asked = {
            "namespace": namespace,
            "group": rule["apiGroups"][-1],
            "resource": rule["resources"][-1].partition("/")[0],
            "subresource": rule["resources"][-1].partition("/")[2],
            "name": rule.get("resourceNames", [""])[-1],
            "verb": rule["verbs"][-1],
        }
        about = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
        body = {**about, "spec": {"user": user, "resourceAttributes": asked}}
        words = ("create", "-o", "json", "-f", "-")
        found = json.loads(self.cluster.kubectl(*words, stdin=json.dumps(body)))
        return bool(found["status"]["allowed"])

    def wait_for_right(self, user: str, rule: Mapping[str, Any], namespace: str) -> None:
        """Wait until the authorizer has heard of a Role and its binding."""
        until(lambda: self.may(user, rule, namespace), POLICY_SECONDS, f"a right of {user}")


@dataclass(slots=True)
class Place:
    """One test's namespace, as its tenant, its admin and its operator see it."""

    estate: Estate
    scenario: Scenario

    @property
    def operator(self) -> Operator:
        """The one that all places share."""
        return self.estate.operator

    @property
    def namespace(self) -> str:
        """Its name."""
        return self.scenario.namespace

    def tenant(self, *words: str, stdin: str | None = None) -> str:
        """kubectl as the tenant; raises ClusterError with what was said."""
        cluster = self.estate.cluster
        config = str(cluster.kubeconfig_for(TENANT))
        command = [str(cluster.kubectl_path), "--kubeconfig", config, "-n", self.namespace, *words]
        result = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if result.returncode:
            raise ClusterError(result.stderr.strip())
        return result.stdout

    def write(self, body: Mapping[str, Any], *options: str) -> Json:
        """Apply an object as the tenant and return what was stored."""
        words = ("apply", "-o", "json", *options, "-f", "-")
        found: Json = json.loads(self.tenant(*words, stdin=json.dumps(body)))
        return found

    def refusal(self, body: Mapping[str, Any], *options: str) -> str:
        """What the tenant is told who writes this; fails where it is taken."""
        return refusal(lambda: self.write(body, "--dry-run=server", *options))

    def accepted_without_guards(self, body: Mapping[str, Any]) -> bool:
        """Whether the very same spec is taken by a kind whose schema has no guards."""
        return bool(self.create_without_guards(body)["spec"] == body["spec"])

    def create_without_guards(self, body: Mapping[str, Any]) -> Json:
        """What is stored of the same object by a kind that has no guards; a dry run."""
        other = {**body, "apiVersion": f"{UNGUARDED}/v1alpha1"}
        words = ("create", "--dry-run=server", "-o", "json", "-f", "-")
        found: Json = json.loads(self.scenario.kubectl(*words, stdin=json.dumps(other)))
        return found

    def admin(self, *words: str, stdin: str | None = None) -> str:
        """kubectl as the cluster's admin, in this namespace."""
        return self.scenario.kubectl(*words, stdin=stdin)

    def apply(self, *bodies: Mapping[str, Any]) -> None:
        """Apply objects as the admin."""
        self.scenario.apply(*bodies)

    def create_pod(self, spec: Mapping[str, Any], **metadata: Any) -> Json:
        """Create a pod as the admin would, without Canarium, and return it; a dry run."""
        about = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "direct", **metadata}}
        words = ("create", "--dry-run=server", "-o", "json", "-f", "-")
        found: Json = json.loads(self.admin(*words, stdin=json.dumps({**about, "spec": spec})))
        return found

    def grant(self, user: str, *rules: Json, name: str = "granted") -> None:
        """A Role in this namespace, bound to one user, who has these rights from then on."""
        role = {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": {"name": name}}
        self.apply({**role, "rules": list(rules)}, bind(name, user, "Role"))
        self.estate.wait_for_right(user, rules[-1], self.namespace)

    def give(self, *entries: str) -> None:
        """Give the namespace host names, as who administers the cluster does."""
        annotation = f"{HOSTNAMES}={','.join(entries)}"
        self.admin("annotate", "--overwrite", "namespace", self.namespace, annotation)


def make_place(estate: Estate, directory: Path, namespace: str) -> Place:
    """A namespace that the tenant may use."""
    cluster = estate.cluster
    apply_all(cluster, [make_namespace(namespace)])
    witness = directory / "witness.jsonl"
    witness.touch()
    apiserver = Apiserver(cluster.kubeconfig)
    scenario = Scenario(cluster, apiserver, witness, directory, namespace)
    roles = [f"{RELEASE}-edit", f"{RELEASE}-view"]
    scenario.apply(*(bind(role, TENANT, "ClusterRole") for role in roles))
    for rule in (EDITS, VIEWS):
        estate.wait_for_right(TENANT, rule, namespace)
    wait_for_account(cluster, namespace)
    return Place(estate, scenario)


def wait_for_account(cluster: Cluster, namespace: str) -> None:
    """Wait until a new namespace has its service account, without which no pod is taken there."""
    words = ("-n", namespace, "get", "serviceaccount", "default")
    until(lambda: is_taken(lambda: cluster.kubectl(*words)), POLICY_SECONDS, "a service account")


def find_policy(chart: list[Json], name: str) -> list[Json]:
    """A policy of the chart and its binding."""
    found = [item for item in chart if item["metadata"]["name"] == f"{RELEASE}-{name}"]
    return [item for item in found if item["kind"].lower() in (POLICY, BINDING)]


def make_mark(name: str) -> list[Json]:
    """A policy that refuses the ConfigMap of its own name, and its binding."""
    api = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": name}}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"]}
    spec = {
        "matchConstraints": {"resourceRules": [{**rule, "resources": ["configmaps"]}]},
        "validations": [{"expression": f"object.metadata.name != '{name}'"}],
    }
    bound = {"policyName": name, "validationActions": ["Deny"]}
    kind = "ValidatingAdmissionPolicy"
    return [{**api, "kind": kind, "spec": spec}, {**api, "kind": f"{kind}Binding", "spec": bound}]


def make_namespace(name: str, **labels: str) -> Json:
    """A namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def bind(role: str, user: str, kind: str) -> Json:
    """A RoleBinding of a role to one user."""
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": f"{role}-{user.rpartition(':')[2]}"},
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user}],
    }


def make_unguarded() -> Json:
    """The definition of a kind like ModelDeployment that takes whatever has the right types."""
    kind = next(kind for kind in KINDS if kind.plural == "modeldeployments")
    crd = copy.deepcopy(make_crd(kind))
    crd["metadata"]["name"] = f"modeldeployments.{UNGUARDED}"
    crd["spec"]["group"] = UNGUARDED
    names = crd["spec"]["names"]
    crd["spec"]["names"] = {key: names[key] for key in ("kind", "plural", "singular", "listKind")}
    for version in crd["spec"]["versions"]:
        version.pop("subresources")  # so that who writes the rest writes its status
        version["schema"]["openAPIV3Schema"]["properties"]["spec"] = strip(
            version["schema"]["openAPIV3Schema"]["properties"]["spec"]
        )
    return crd


def strip(schema: Any) -> Any:
    """A schema without its guards: fields that it doesn't know are kept, too."""
    if isinstance(schema, list):
        return [strip(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strip(value) for key, value in schema.items() if key not in GUARDS}
    if "properties" in schema:
        found["properties"] = {name: strip(each) for name, each in schema["properties"].items()}
        found["x-kubernetes-preserve-unknown-fields"] = True
    return found


def refusal(attempt: Callable[[], object]) -> str:
    """What an attempt is refused with; fails where it succeeds."""
    try:
        attempt()
    except ClusterError as error:
        return str(error)
    raise AssertionError("nothing was refused")


def told(attempt: Callable[[], object]) -> str:
    """What an attempt is refused with, "" where it succeeds."""
    try:
        attempt()
    except ClusterError as error:
        return str(error)
    return ""


def is_taken(attempt: Callable[[], object]) -> bool:
    """Whether an attempt succeeds."""
    try:
        attempt()
    except ClusterError:
        return False
    return True


def until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for something that gives no event: a policy in force, a process that is ready."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.1)


def apply_all(cluster: Cluster, items: list[Json]) -> None:
    """Server-side apply as the admin."""
    cluster.kubectl(
        "apply", "--server-side", "--force-conflicts", "-f", "-", stdin=make_list(items)
    )
