"""Containers as the API lets people describe them: the model server, and sidecars beside it.

Curated: what would give a pod power over its node (privilege, capabilities, host ports, mount
propagation) has no field. Names and meanings are those of a Pod, so that people can copy.
Nothing here has a default, for one added later would change every stored object.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from canarium.api.rules import Model, Rule, exactly_one_of, keyed, matching
from canarium.api.scalars import (
    QUALIFIED_KEYS,
    DnsLabel,
    Image,
    InnerPath,
    Line,
    Path,
    PortNumber,
    PortReference,
    PositiveSeconds,
    PullPolicy,
    Quantity,
    Seconds,
    Subdomain,
    Text,
    UrlPath,
    UserId,
)
from canarium.core.normalise import DEFAULT_PORT
from canarium.core.quantities import parse_quantity

EnvName = Annotated[
    str,
    Field(max_length=256),
    matching("[!-<>-~]+", "write the variable's name, without spaces and ="),
]
KeyName = Annotated[
    str,
    Field(max_length=253),
    matching("[-._a-zA-Z0-9]+", "write letters, digits, dashes, underscores and dots"),
]


class KeyRef(Model):
    """One key of a ConfigMap or Secret in the object's own namespace."""

    name: Subdomain
    "Name of the ConfigMap or Secret."
    key: KeyName
    "The key in it."
    optional: bool | None = None
    "Whether the pod may start without it."


_SUBSCRIPT = r"\['[-A-Za-z0-9_./]{1,317}'\]"


class FieldRef(Model):
    """A field of the pod."""

    field_path: Annotated[
        Line,
        matching(
            rf"metadata\.(name|namespace|uid|(labels|annotations){_SUBSCRIPT})"
            r"|spec\.(nodeName|serviceAccountName)|status\.(hostIPs?|podIPs?)",
            "write a field of the pod such as metadata.name or status.podIP",
        ),
    ]
    "Path of the field, such as metadata.name or status.podIP."


class ResourceFieldRef(Model):
    """A resource of the container."""

    resource: Literal[
        "limits.cpu",
        "limits.ephemeral-storage",
        "limits.memory",
        "requests.cpu",
        "requests.ephemeral-storage",
        "requests.memory",
    ]
    "The resource, such as limits.cpu."
    container_name: DnsLabel | None = None
    "The container, where it is not this one."
    divisor: Quantity | None = None
    "The unit to count in, such as 1 or 1Mi."


class EnvVarSource(Model):
    """Where an environment variable's value comes from."""

    rules: ClassVar = (
        exactly_one_of("configMapKeyRef", "secretKeyRef", "fieldRef", "resourceFieldRef"),
    )

    config_map_key_ref: KeyRef | None = None
    "A key of a ConfigMap."
    secret_key_ref: KeyRef | None = None
    "A key of a Secret."
    field_ref: FieldRef | None = None
    "A field of the pod."
    resource_field_ref: ResourceFieldRef | None = None
    "A request or limit of the container."


class EnvVar(Model):
    """One environment variable."""

    rules: ClassVar = (
        Rule(
            cel="!(has(self.value) && has(self.valueFrom))",
            message="set value or valueFrom, not both",
            holds=lambda env: env.value is None or env.value_from is None,
        ),
    )

    name: EnvName
    "Name of the variable."
    value: Annotated[str, Field(max_length=32768)] | None = None
    "Its value; $(NAME) stands for a variable defined before it."
    value_from: EnvVarSource | None = None
    "Where the value comes from instead."


class EnvSource(Model):
    """A ConfigMap or Secret in the object's own namespace."""

    name: Subdomain
    "Its name."
    optional: bool | None = None
    "Whether the pod may start without it."


class EnvFromSource(Model):
    """All keys of a ConfigMap or Secret as variables."""

    rules: ClassVar = (exactly_one_of("configMapRef", "secretRef"),)

    prefix: Line | None = None
    "Put before every name."
    config_map_ref: EnvSource | None = None
    "The ConfigMap."
    secret_ref: EnvSource | None = None
    "The Secret."


_PLAIN_RESOURCES = ("cpu", "memory", "ephemeral-storage")

Quantities = Annotated[
    dict[str, Quantity],
    Field(max_length=16),
    Rule(
        cel=f"self.all(key, key in {list(_PLAIN_RESOURCES)} || key.startsWith('hugepages-')"
        " || key.contains('/'))",
        message="write cpu, memory, ephemeral-storage, hugepages-<size> or a name with a domain,"
        " such as nvidia.com/gpu",
        holds=lambda table: all(
            key in _PLAIN_RESOURCES or key.startswith("hugepages-") or "/" in key for key in table
        ),
    ),
    QUALIFIED_KEYS,
]


def _first_too_large(resources: Resources) -> str:
    """Name the first request that is above its limit; "" when none is."""
    requests, limits = resources.requests or {}, resources.limits or {}
    return next(
        (
            name
            for name, wanted in requests.items()
            if name in limits and parse_quantity(wanted) > parse_quantity(limits[name])
        ),
        "",
    )


class Resources(Model):
    """What the container asks for and may use at most."""

    rules: ClassVar = (
        Rule(
            cel="!has(self.requests) || !has(self.limits) || self.requests.all(key,"
            " !(key in self.limits) || !isQuantity(string(self.requests[key]))"
            " || !isQuantity(string(self.limits[key]))"
            " || !quantity(string(self.requests[key]))"
            ".isGreaterThan(quantity(string(self.limits[key]))))",
            message="a request must not be above its limit",
            holds=lambda resources: not _first_too_large(resources),
            at="requests",
            locate=lambda resources: f"requests.{_first_too_large(resources)}",
        ),
    )

    requests: Quantities | None = None
    "What is set aside for it, such as cpu, memory or nvidia.com/gpu."
    limits: Quantities | None = None
    "What it may use at most."


class HttpHeader(Model):
    """One header of a probe's request."""

    name: Annotated[Line, matching("[-A-Za-z0-9]+", "write letters, digits and dashes")]
    "Name of the header."
    value: Text
    "Its value."


class HttpGet(Model):
    """A request that must be answered with 2xx or 3xx."""

    port: PortReference
    "Number or name of the port; http is the server's own."
    path: UrlPath | None = None
    "The path; / when left out."
    scheme: Literal["HTTP", "HTTPS"] | None = None
    "HTTP when left out."
    http_headers: Annotated[list[HttpHeader], Field(max_length=16)] | None = None
    "Headers to send."


class TcpSocket(Model):
    """A connection that must be accepted."""

    port: PortReference
    "Number or name of the port."


class GrpcCheck(Model):
    """A call of the gRPC health protocol that must answer SERVING."""

    port: PortNumber
    "Number of the port."
    service: Line | None = None
    "The service to ask about."


class ExecCheck(Model):
    """A command in the container that must exit with 0."""

    command: Annotated[list[Text], Field(min_length=1, max_length=64)]
    "The program and its arguments."


class Probe(Model):
    """A check that the kubelet makes again and again."""

    rules: ClassVar = (exactly_one_of("httpGet", "tcpSocket", "grpc", "exec"),)

    http_get: HttpGet | None = None
    "Ask over HTTP."
    tcp_socket: TcpSocket | None = None
    "Open a connection."
    grpc: GrpcCheck | None = None
    "Ask over gRPC."
    exec: ExecCheck | None = None
    "Run a command."
    initial_delay_seconds: Seconds | None = None
    "How long to wait before the first check."
    period_seconds: PositiveSeconds | None = None
    "Time between checks; 10 when left out."
    timeout_seconds: PositiveSeconds | None = None
    "How long an answer may take; 1 when left out."
    failure_threshold: Annotated[int, Field(ge=1, le=10000)] | None = None
    "Failures in a row that count; 3 when left out."


class ReadinessProbe(Probe):
    """A check whose failure takes the pod out of traffic."""

    success_threshold: Annotated[int, Field(ge=1, le=10000)] | None = None
    "Successes in a row after which the pod is ready; 1 when left out."


class VolumeMount(Model):
    """A volume of spec.pod.volumes in the container's file system."""

    name: DnsLabel
    "Name of the volume in spec.pod.volumes."
    mount_path: Annotated[Path, matching("[^:]+", "write a path without a colon")]
    "Where it is mounted."
    sub_path: InnerPath | None = None
    "The folder or file of the volume to mount; all of it when left out."
    read_only: bool | None = None
    "Mount it for reading only."


class ContainerSecurity(Model):
    """As whom the container runs. Privilege and capabilities cannot be had: all are dropped."""

    run_as_user: UserId | None = None
    "User id of the process; the image's own when left out."
    run_as_group: UserId | None = None
    "Group id of the process."
    run_as_non_root: bool | None = None
    "Refuse to start as root; as the pod has it when left out, which is true unless it says more."
    read_only_root_filesystem: bool | None = None
    "Mount the image's file system for reading only."


PROFILES = (
    "MLServer",
    "KServe",
    "Triton",
    "TorchServe",
    "TensorFlowServing",
    "VLLM",
    "BentoML",
    "RayServe",
    "Prometheus",
)
ProfileName = Annotated[
    str,
    Field(max_length=63),
    matching(
        f"{'|'.join(PROFILES)}|[a-z][A-Za-z0-9-]*",
        f"write one of {', '.join(PROFILES)}, or the name of a profile of your own, which begins"
        " with a lower-case letter",
    ),
]


class Metrics(Model):
    """Where the server counts its answers, so that a rollout can be judged by them."""

    port: PortNumber | None = None
    "Port of the metrics endpoint; the server's own when left out."
    path: UrlPath | None = None
    "Path of the metrics endpoint; /metrics when left out."
    profile: ProfileName | None = None
    """Whose names the metrics have; docs/metrics.md says what each server counts. Prometheus (when
    left out): http_requests_total with its status code, http_request_duration_seconds. The names of
    profiles of your own begin with a lower-case letter."""


class Program(Model):
    """What every container has: an image, and how it is pulled and started."""

    image: Image
    "The container's image. A digest (name@sha256:...) keeps a tag from being swapped."
    image_pull_policy: PullPolicy | None = None
    "When to pull; Always for :latest and IfNotPresent otherwise when left out."
    command: Annotated[list[Text], Field(max_length=64)] | None = None
    "Program to run instead of the image's entry point."


class Container(Program):
    """What the server and sidecars have in common."""

    args: Annotated[list[Text], Field(max_length=256)] | None = None
    "Arguments instead of the image's own."
    env: Annotated[list[EnvVar], Field(max_length=256), keyed("name")] | None = None
    "Environment variables, in order."
    env_from: Annotated[list[EnvFromSource], Field(max_length=32)] | None = None
    "ConfigMaps and Secrets whose keys become variables."
    resources: Resources | None = None
    "Requests and limits."
    readiness_probe: ReadinessProbe | None = None
    """Whether the pod may get traffic; the server's, left out, asks a server that metrics.profile
    names for its own path, and otherwise whether its port accepts connections."""
    liveness_probe: Probe | None = None
    "Whether the container must be restarted."
    startup_probe: Probe | None = None
    "Whether the container has started; the other probes wait for it."
    volume_mounts: Annotated[list[VolumeMount], Field(max_length=32), keyed("mountPath")] | None = (
        None
    )
    "Volumes of spec.pod.volumes in its file system."
    security_context: ContainerSecurity | None = None
    "As whom it runs."


class Server(Container):
    """The model server's container, named server in the pod."""

    rules: ClassVar = (
        Rule(
            cel=f"!has(self.grpcPort) || ((has(self.port) ? self.port : {DEFAULT_PORT})"
            " != self.grpcPort"
            " && (!has(self.metrics) || !has(self.metrics.port)"
            " || self.metrics.port != self.grpcPort))",
            message="gRPC needs a port of its own, other than port and metrics.port",
            holds=lambda server: (
                server.grpc_port is None
                or server.grpc_port
                not in (server.port or DEFAULT_PORT, server.metrics and server.metrics.port)
            ),
            at="grpcPort",
        ),
    )

    port: PortNumber | None = None
    "Port that answers requests; 8080 when left out. Named http in the pod."
    grpc_port: PortNumber | None = None
    "Port that answers gRPC, for traffic.protocol GRPC. Named grpc in the pod."
    metrics: Metrics | None = None
    "Where the server counts its answers; rollout.analysis needs it."

    @property
    def requested(self) -> frozenset[str]:
        """Names of the resources that it requests; a limit alone is a request, too."""
        asked = self.resources or Resources()
        return frozenset((asked.requests or {}) | (asked.limits or {}))


class SidecarPort(Model):
    """A port that the sidecar listens on."""

    name: Annotated[
        str,
        Field(max_length=15),
        matching(
            "[a-z][a-z0-9]*(-[a-z0-9]+)*",
            "write lower-case letters, digits and single dashes, beginning with a letter",
        ),
    ]
    "Its name, for probes."
    container_port: PortNumber
    "Its number."


class Sidecar(Container):
    """A container beside the server. It starts before the server and ends after it."""

    rules: ClassVar = (
        Rule(
            cel="self.name != 'server'",
            message="server is the name of the model server's own container: choose another",
            holds=lambda sidecar: sidecar.name != "server",
            at="name",
        ),
    )

    name: DnsLabel
    "Its name in the pod."
    ports: Annotated[list[SidecarPort], Field(max_length=16), keyed("name")] | None = None
    "Ports that it listens on."
