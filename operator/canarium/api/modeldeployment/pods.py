"""The pod around the model server: labels, volumes, sidecars, where it runs and as whom.

Curated like the containers: host namespaces, host paths and service-account tokens have no field.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from canarium.api.modeldeployment.containers import KeyName, ResourceFieldRef, Sidecar, VolumeMount
from canarium.api.modeldeployment.scheduling import Affinity, SpreadConstraints, Tolerations
from canarium.api.rules import Model, Rule, exactly_one_of, keyed
from canarium.api.scalars import (
    QUALIFIED_KEYS,
    DnsLabel,
    InnerPath,
    LabelMap,
    Quantity,
    Subdomain,
    UserId,
)

OWN_PREFIX = "canarium.dev/"

_OWN_KEYS = Rule(
    cel=f"self.all(key, !key.startsWith('{OWN_PREFIX}') && !key.contains('.{OWN_PREFIX}'))",
    message=f"keys under {OWN_PREFIX} are Canarium's own: choose others",
    holds=lambda table: (
        not any(key.startswith(OWN_PREFIX) or f".{OWN_PREFIX}" in key for key in table)
    ),
)

Mode = Annotated[int, Field(ge=0, le=0o777)]


class KeyToPath(Model):
    """One key as a file."""

    key: KeyName
    "The key."
    path: InnerPath
    "The file's path in the volume."
    mode: Mode | None = None
    "Its permissions, as a decimal number (420 is 0644)."


Items = Annotated[list[KeyToPath], Field(max_length=16)]


class EmptyDir(Model):
    """A folder that lives as long as the pod."""

    medium: Literal["Memory"] | None = None
    "Memory for a file system in memory; the node's disk when left out."
    size_limit: Quantity | None = None
    "How large it may grow."


class ConfigMapVolume(Model):
    """A ConfigMap of the object's namespace as files."""

    name: Subdomain
    "Its name."
    items: Items | None = None
    "Which keys become which files; all when left out."
    default_mode: Mode | None = None
    "Permissions of the files, as a decimal number (420 is 0644)."
    optional: bool | None = None
    "Whether the pod may start without it."


class SecretVolume(Model):
    """A Secret of the object's namespace as files."""

    secret_name: Subdomain
    "Its name."
    items: Items | None = None
    "Which keys become which files; all when left out."
    default_mode: Mode | None = None
    "Permissions of the files, as a decimal number (420 is 0644)."
    optional: bool | None = None
    "Whether the pod may start without it."


class ClaimVolume(Model):
    """A PersistentVolumeClaim of the object's namespace."""

    claim_name: Subdomain
    "Its name. All pods of all revisions mount it, so it must allow that."
    read_only: bool | None = None
    "Mount it for reading only."


class FileFieldRef(Model):
    """A field of the pod that can be a file."""

    field_path: Literal[
        "metadata.annotations",
        "metadata.labels",
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
    ]
    "Path of the field, such as metadata.labels."


class DownwardFile(Model):
    """A field of the pod as a file."""

    rules: ClassVar = (
        exactly_one_of("fieldRef", "resourceFieldRef"),
        Rule(
            cel="!has(self.resourceFieldRef) || has(self.resourceFieldRef.containerName)",
            message="resourceFieldRef needs containerName in a volume",
            holds=lambda file: (
                file.resource_field_ref is None
                or file.resource_field_ref.container_name is not None
            ),
            at="resourceFieldRef.containerName",
        ),
    )

    path: InnerPath
    "The file's path in the volume."
    field_ref: FileFieldRef | None = None
    "A field such as metadata.labels."
    resource_field_ref: ResourceFieldRef | None = None
    "A request or limit; containerName is needed."
    mode: Mode | None = None
    "Its permissions, as a decimal number."


class DownwardVolume(Model):
    """Fields of the pod as files."""

    items: Annotated[list[DownwardFile], Field(max_length=16)]
    "The files."
    default_mode: Mode | None = None
    "Permissions of the files, as a decimal number."


class ProjectedConfigMap(Model):
    """A ConfigMap of the object's namespace."""

    name: Subdomain
    "Its name."
    items: Items | None = None
    "Which keys become which files; all when left out."
    optional: bool | None = None
    "Whether the pod may start without it."


class ProjectedDownward(Model):
    """Fields of the pod."""

    items: Annotated[list[DownwardFile], Field(max_length=16)]
    "The files."


class Projection(Model):
    """One part of a projected volume."""

    rules: ClassVar = (exactly_one_of("configMap", "secret", "downwardAPI"),)

    config_map: ProjectedConfigMap | None = None
    "Keys of a ConfigMap."
    secret: ProjectedConfigMap | None = None
    "Keys of a Secret."
    downward_api: Annotated[ProjectedDownward | None, Field(alias="downwardAPI")] = None
    "Fields of the pod."


class ProjectedVolume(Model):
    """Several sources in one folder. Service-account tokens cannot be had."""

    sources: Annotated[list[Projection], Field(min_length=1, max_length=8)]
    "The parts."
    default_mode: Mode | None = None
    "Permissions of the files, as a decimal number."


class Volume(Model):
    """A volume that containers can mount."""

    rules: ClassVar = (
        exactly_one_of(
            "emptyDir", "configMap", "secret", "persistentVolumeClaim", "downwardAPI", "projected"
        ),
    )

    name: DnsLabel
    "Its name, for volumeMounts."
    empty_dir: EmptyDir | None = None
    "A folder that lives as long as the pod."
    config_map: ConfigMapVolume | None = None
    "A ConfigMap as files."
    secret: SecretVolume | None = None
    "A Secret as files."
    persistent_volume_claim: ClaimVolume | None = None
    "A PersistentVolumeClaim."
    downward_api: Annotated[DownwardVolume | None, Field(alias="downwardAPI")] = None
    "Fields of the pod as files."
    projected: ProjectedVolume | None = None
    "Several sources in one folder."


class PodSecurity(Model):
    """As whom the pod's containers run. The seccomp profile is always RuntimeDefault."""

    run_as_user: UserId | None = None
    "User id of the processes; the images' own when left out."
    run_as_group: UserId | None = None
    "Group id of the processes."
    run_as_non_root: bool | None = None
    """Refuse to start as root: true when left out, unless runAsUser is 0. Write false for an image
    that runs as root; the namespace has to admit such pods."""
    fs_group: UserId | None = None
    "Group that volumes belong to."
    fs_group_change_policy: Literal["Always", "OnRootMismatch"] | None = None
    "Always or OnRootMismatch: when to change the group of a volume's files."
    supplemental_groups: Annotated[list[UserId], Field(max_length=32)] | None = None
    "Further groups of the processes."


class PullSecret(Model):
    """A Secret to pull images with."""

    name: Subdomain
    "Its name."


class Pod(Model):
    """Everything about the pods but the model server's container."""

    rules: ClassVar = (
        Rule(
            cel="!has(self.sidecars) || self.sidecars.all(one, !has(one.volumeMounts) ||"
            " one.volumeMounts.all(mount, has(self.volumes) &&"
            " self.volumes.exists(volume, volume.name == mount.name)))",
            message="every volumeMount of a sidecar needs a volume of its name in spec.pod.volumes",
            holds=lambda pod: all(mounted_in(pod, one.volume_mounts) for one in pod.sidecars or ()),
            at="sidecars",
        ),
    )

    labels: Annotated[LabelMap, _OWN_KEYS] | None = None
    "Further labels of the pods. Keys under canarium.dev/ are refused."
    annotations: (
        Annotated[
            dict[str, Annotated[str, Field(max_length=16384)]],
            Field(max_length=64),
            QUALIFIED_KEYS,
            _OWN_KEYS,
        ]
        | None
    ) = None
    "Annotations of the pods. Keys under canarium.dev/ are refused."
    node_selector: LabelMap | None = None
    "Labels that nodes must have."
    tolerations: Tolerations | None = None
    "Taints that the pods put up with."
    affinity: Affinity | None = None
    "Nodes and neighbours that the pods need or want."
    topology_spread_constraints: SpreadConstraints | None = None
    "How evenly the pods are spread."
    priority_class_name: Subdomain | None = None
    "Their PriorityClass."
    runtime_class_name: Subdomain | None = None
    "Their RuntimeClass."
    service_account_name: Subdomain | None = None
    "Their service account; default when left out. Its token is never mounted."
    image_pull_secrets: Annotated[list[PullSecret], Field(max_length=16), keyed("name")] | None = (
        None
    )
    "Secrets to pull images with."
    security_context: PodSecurity | None = None
    "As whom they run."
    termination_grace_period_seconds: Annotated[int, Field(ge=10, le=86400)] | None = None
    """How long a pod may take to end; 35 when left out. The first 5 seconds are a drain in which
    it still answers."""
    volumes: Annotated[list[Volume], Field(max_length=32), keyed("name")] | None = None
    "Volumes that containers can mount."
    sidecars: Annotated[list[Sidecar], Field(max_length=5), keyed("name")] | None = None
    "Containers beside the server; they start before it and end after it."


def mounted_in(pod: Pod | None, mounts: list[VolumeMount] | None) -> bool:
    """Tell whether every mount finds its volume in the pod."""
    names = {volume.name for volume in (pod.volumes if pod else None) or ()}
    return all(mount.name in names for mount in mounts or ())
