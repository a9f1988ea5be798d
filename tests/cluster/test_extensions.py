"""Manifests for pods become manifests for processes on loopback; nothing else changes."""

from typing import Any

from testbed.addons.extensions import turn_to_processes

Object = dict[str, Any]
PORTS = {"figures": 20001, "guards": 20002}
BUNDLE = "Y2E="


def make(kind: str, name: str, **fields: Any) -> Object:
    return {"kind": kind, "metadata": {"name": name}, **fields}


def test_a_deployment_is_left_out_and_rights_stay_as_they_are() -> None:
    role = make("ClusterRole", "figures", rules=[{"verbs": ["get"]}])

    assert turn_to_processes([make("Deployment", "figures"), role], PORTS, BUNDLE) == [role]


def test_a_service_leads_to_this_machine() -> None:
    service = make("Service", "figures", spec={"selector": {"app": "x"}, "ports": [{"port": 443}]})

    assert turn_to_processes([service], PORTS, BUNDLE) == [
        make("Service", "figures", spec={"type": "ExternalName", "externalName": "localhost"})
    ]


def test_an_api_service_asks_for_the_port_and_verifies_who_answers() -> None:
    asked = {"name": "figures", "namespace": "a"}
    found = make("APIService", "v1", spec={"service": asked, "insecureSkipTLSVerify": True})

    assert turn_to_processes([found], PORTS, BUNDLE) == [
        make("APIService", "v1", spec={"service": {**asked, "port": 20001}, "caBundle": BUNDLE})
    ]


def test_a_webhook_keeps_its_path_and_gets_the_port() -> None:
    asked = {"name": "guards", "namespace": "a", "path": "/validate"}
    hook = {"name": "x", "clientConfig": {"service": asked}, "failurePolicy": "Ignore"}
    found = make("ValidatingWebhookConfiguration", "guards", webhooks=[hook])

    config = {"service": {**asked, "port": 20002}, "caBundle": BUNDLE}
    assert turn_to_processes([found], PORTS, BUNDLE) == [
        {**found, "webhooks": [{**hook, "clientConfig": config}]}
    ]
