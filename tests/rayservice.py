"""What of KubeRay's RayService (ray.io/v1) our manifest uses, after the CRD of KubeRay 1.5; the rest is refused.

Pods inside are checked as Kubernetes' own kind `Pod`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

RayStartParams = dict[str, str]
"""Arguments of `ray start`; the CRD wants text, also for numbers."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class PodTemplate(_Strict):
    metadata: dict[str, Any] = {}
    spec: dict[str, Any]


class HeadGroup(_Strict):
    ray_start_params: RayStartParams = {}
    service_type: Literal["ClusterIP", "NodePort", "LoadBalancer"] | None = None
    template: PodTemplate


class WorkerGroup(_Strict):
    group_name: Annotated[str, Field(min_length=1)]
    replicas: Annotated[int, Field(ge=0)] | None = None
    min_replicas: Annotated[int, Field(ge=0)]
    max_replicas: Annotated[int, Field(ge=0)]
    num_of_hosts: Annotated[int, Field(ge=1)] = 1
    idle_timeout_seconds: Annotated[int, Field(ge=0)] | None = None
    ray_start_params: RayStartParams = {}
    template: PodTemplate


class AuthOptions(_Strict):
    mode: Literal["disabled", "token"]
    secret_name: str | None = None


class RayCluster(_Strict):
    ray_version: str
    auth_options: AuthOptions | None = None
    enable_in_tree_autoscaling: bool = False
    head_group_spec: HeadGroup
    worker_group_specs: list[WorkerGroup] = []


class UpgradeStrategy(_Strict):
    type: Literal["NewCluster", "NewClusterWithIncrementalUpgrade", "None"]


class Spec(_Strict):
    serve_config_v2: Annotated[str, Field(alias="serveConfigV2")]
    upgrade_strategy: UpgradeStrategy | None = None
    ray_cluster_deletion_delay_seconds: Annotated[int, Field(ge=0)] | None = None
    exclude_head_pod_from_serve_svc: bool = False
    serve_service: dict[str, Any] | None = None
    ray_cluster_config: RayCluster


class RayService(_Strict):
    api_version: Literal["ray.io/v1"]
    kind: Literal["RayService"]
    metadata: dict[str, Any]
    spec: Spec
