"""
`deploy/kubernetes/`: what the manifests say is what the server does. Linted, never run here.
"""

import shutil
import subprocess
from typing import Any

import pytest
import yaml

from keystay_server.settings.addresses import parse_address
from tests.support.deploy.files import (
    BACKENDS,
    CLIENTS,
    DEPLOY,
    config_from,
    drained_after_s,
    text,
)

FILES = yaml.safe_load(text("kubernetes/kustomization.yaml"))["resources"]
OBJECTS: dict[tuple[str, str], Any] = {
    (each["kind"], each["metadata"]["name"]): each
    for file in FILES
    for each in yaml.safe_load_all(text(f"kubernetes/{file}"))
}
DEPLOYMENT = OBJECTS["Deployment", "keystay"]
POD = DEPLOYMENT["spec"]["template"]
[CONTAINER] = POD["spec"]["containers"]
LABELS = POD["metadata"]["labels"]
CONFIG = config_from(OBJECTS["ConfigMap", "keystay"]["data"])


def test_every_file_is_listed() -> None:
    """What is beside the kustomization is a part of it."""
    beside = {path.name for path in (DEPLOY / "kubernetes").glob("*.yaml")}
    assert {*FILES, "kustomization.yaml"} == beside


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kustomize_reads_them() -> None:
    """`kubectl kustomize`, which needs no cluster, puts out every object."""
    done = subprocess.run(
        ["kubectl", "kustomize", str(DEPLOY / "kubernetes")],
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    built = {
        (each["kind"], each["metadata"]["name"]) for each in yaml.safe_load_all(done.stdout)
    }
    assert built == set(OBJECTS)


def test_everything_selects_the_pods() -> None:
    """Deployment, services, budget and policy mean the same pods."""
    assert DEPLOYMENT["spec"]["selector"]["matchLabels"] == LABELS
    for name in ("keystay", "keystay-control"):
        assert OBJECTS["Service", name]["spec"]["selector"] == LABELS
    budget = OBJECTS["PodDisruptionBudget", "keystay"]["spec"]
    assert budget["selector"]["matchLabels"] == LABELS
    policy = OBJECTS["NetworkPolicy", "keystay"]["spec"]
    assert policy["podSelector"]["matchLabels"] == LABELS


def test_a_disruption_leaves_nodes_to_go_to() -> None:
    """One pod at a time, by a drain of the machine or by a new version."""
    assert DEPLOYMENT["spec"]["replicas"] >= 2
    assert OBJECTS["PodDisruptionBudget", "keystay"]["spec"]["maxUnavailable"] == 1
    assert DEPLOYMENT["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_ports_are_those_the_server_listens_on() -> None:
    """By name: the container's, the services', the probes' and the scraper's."""
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    assert ports == {"clients": CLIENTS, "control": BACKENDS}
    assert parse_address("listen", CONFIG.listen)[1] == CLIENTS
    assert parse_address("control", CONFIG.control)[1] == BACKENDS
    for name in ("keystay", "keystay-control"):
        [port] = OBJECTS["Service", name]["spec"]["ports"]
        assert port["port"] == ports[port["targetPort"]]
    assert POD["metadata"]["annotations"]["prometheus.io/port"] == str(BACKENDS)
    assert CONTAINER["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "control"}
    assert CONTAINER["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "control"}


def test_backends_and_clients_come_by_different_doors() -> None:
    """Anybody to the one, labelled pods only to the other."""
    by_port = {
        rule["ports"][0]["port"]: rule.get("from")
        for rule in OBJECTS["NetworkPolicy", "keystay"]["spec"]["ingress"]
    }
    assert by_port["clients"] is None
    assert by_port["control"][0]["podSelector"]["matchLabels"]


def test_there_is_time_to_drain() -> None:
    """Until the last command is finished, after the pause in which others learn of it."""
    [_, pause] = CONTAINER["lifecycle"]["preStop"]["exec"]["command"]
    grace = POD["spec"]["terminationGracePeriodSeconds"]
    assert grace > int(pause) + drained_after_s(CONFIG)


def test_a_store_that_is_away_restarts_nothing() -> None:
    """Liveness does not ask the store; readiness takes the pod out within seconds."""
    probe = CONTAINER["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] <= 5
    assert CONTAINER["livenessProbe"]["httpGet"]["path"] == "/livez"


def test_no_service_puts_settings_into_the_environment() -> None:
    """A Service named keystay would set KEYSTAY_PORT, which a server refuses to start with."""
    assert POD["spec"]["enableServiceLinks"] is False


def test_a_pod_may_do_little() -> None:
    """No root, no writable system, no capability; the same for the store."""
    store = OBJECTS["StatefulSet", "keystay-valkey"]["spec"]["template"]["spec"]
    for spec in (POD["spec"], store):
        assert spec["securityContext"]["runAsNonRoot"] is True
        [container] = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_the_store_is_one_the_doctor_is_content_with() -> None:
    """It keeps what was answered, evicts nothing, and is where the setting says."""
    service = OBJECTS["Service", "keystay-valkey"]
    port = service["spec"]["ports"][0]["port"]
    assert CONFIG.store == f"redis://{service['metadata']['name']}:{port}/0"
    [container] = OBJECTS["StatefulSet", "keystay-valkey"]["spec"]["template"]["spec"][
        "containers"
    ]
    options = dict(zip(container["args"][1::2], container["args"][2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "noeviction"


def test_the_secret_is_made_by_hand() -> None:
    """Applying the files again overwrites no key, and without one no pod starts."""
    assert not [name for kind, name in OBJECTS if kind == "Secret"]
    [secret] = [each["secretRef"] for each in CONTAINER["envFrom"] if "secretRef" in each]
    command = f"kubectl create secret generic {secret['name']} --from-literal=KEYSTAY_API_KEY="
    assert command in text("kubernetes/keystay.yaml")
    assert "optional" not in secret
