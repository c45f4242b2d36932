"""What kustomize makes of `deploy/k8s`: against Kubernetes' own schemas, and against the service that it runs."""

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml
from sdktest.rows import each_row

from application.relay.topics import TOPICS, min_in_sync
from entrypoints.cli.serve import DRAIN_S
from entrypoints.config.loading import load
from entrypoints.config.settings import RelaySettings
from entrypoints.config.settings.catalogue import all_variables
from support.authority import Authority

pytestmark = pytest.mark.programs

ROOT = Path(__file__).parents[4]
K8S = ROOT / "deploy" / "k8s"
OVERLAYS = ("example", "example-migration", "example-topics")
OLDEST = "1.31"
"""Of the versions that the README admits."""

CUSTOM = {"ServiceMonitor", "PodMonitor", "KafkaTopic"}
"""Kinds that an operator brings along: not in Kubernetes' schemas."""


@cache
def validator():
    """Kubernetes' schemas, which only `make test-programs` installs."""
    import kubernetes_validate  # noqa: PLC0415

    return kubernetes_validate


@cache
def built(overlay):
    return kustomized(K8S / "overlays" / overlay)


def kustomized(folder):
    kubectl = ROOT / ".venv" / "bin" / "kubectl"
    assert kubectl.exists(), "kubectl is missing: run `make test-programs`"
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(done.stdout))


def of_kind(*kinds):
    """Of all overlays; a test that is only collected builds none."""
    return [document for overlay in OVERLAYS for document in built(overlay) if document["kind"] in kinds]


def named(documents):
    return each_row("document", documents, ids=lambda each: f"{each['kind']} {each['metadata']['name']}")


def workloads():
    return of_kind("Deployment", "Job")


def pod(document):
    return document["spec"]["template"]["spec"]


def container(document):
    (only,) = pod(document)["containers"]
    return only


def environment(document):
    """Names that reach the process, `_FILE` taken off."""
    maps = {each["metadata"]["name"]: each["data"] for each in of_kind("ConfigMap")}
    in_file = {f"{variable.name}_FILE": variable.name for variable in all_variables() if variable.in_file}
    names = {in_file.get(entry["name"], entry["name"]) for entry in container(document).get("env", ())}
    for source in container(document).get("envFrom", ()):
        names |= maps[source["configMapRef"]["name"]].keys()
    return names


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_document_is_what_kubernetes_schemas_say(overlay):
    documents = [document for document in built(overlay) if document["kind"] not in CUSTOM]

    for version in (OLDEST, validator().latest_version()):
        for document in documents:
            validator().validate(document, version, strict=True)
    assert documents or overlay == "example-topics"


def test_the_schemas_refuse_what_is_misspelled():
    deployment = json.loads(json.dumps(of_kind("Deployment")[0]))
    deployment["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}

    with pytest.raises(validator().ValidationError):
        validator().validate(deployment, validator().latest_version(), strict=True)


@named(workloads)
def test_a_pod_meets_the_restricted_security_standard(document):
    (spec, only) = pod(document), container(document)

    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {key for volume in spec["volumes"] for key in volume} == {"name", "secret", "emptyDir"}
    assert only["resources"]["requests"].keys() == {"cpu", "memory"}
    assert "memory" in only["resources"]["limits"]


@named(workloads)
def test_a_pod_is_configured_with_what_its_command_reads_and_nothing_else(document):
    command = container(document)["args"][0]
    read = [variable for variable in all_variables() if command in variable.commands]

    assert environment(document) <= {variable.name for variable in read}
    assert environment(document) >= {variable.name for variable in read if variable.required}


@named(workloads)
def test_a_pod_mounts_the_secrets_that_it_reads_and_no_others(document):
    secrets = {
        each["metadata"]["name"]: each["stringData"]
        for each in yaml.safe_load_all((K8S / "overlays/example/secrets.example.yaml").read_text())
    }
    (volume,) = [each["secret"] for each in pod(document)["volumes"] if "secret" in each]
    (mount,) = [each["mountPath"] for each in container(document)["volumeMounts"] if each["name"] == "secrets"]
    files = [entry["value"] for entry in container(document)["env"] if entry["value"].startswith("/run/secrets/")]
    others = {pod(other)["volumes"][0]["secret"]["secretName"] for other in workloads() if other is not document}

    assert {Path(file).name for file in files} == secrets[volume["secretName"]].keys()
    assert {str(Path(file).parent) for file in files} == {mount}
    assert volume["secretName"] not in others


@named(lambda: of_kind("Deployment"))
def test_a_pod_has_time_to_finish_before_it_is_killed(document):
    delay = {entry["name"]: entry.get("value") for entry in container(document)["env"]}.get("SHUTDOWN_DELAY_S", "0")

    assert pod(document)["terminationGracePeriodSeconds"] > float(delay) + DRAIN_S


@named(lambda: of_kind("Deployment"))
def test_probes_ask_paths_and_ports_that_the_process_has(document):
    only = container(document)
    ports = {port["name"] for port in only["ports"]}
    known = {*json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"]}

    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert only[kind]["httpGet"]["port"] in ports
        assert only[kind]["httpGet"]["path"] in known
    assert only["livenessProbe"]["httpGet"]["path"] == "/health/live"  # never a restart for a database that is away


@named(lambda: of_kind("Deployment"))
def test_one_pod_at_a_time_leaves(document):
    budgets = [each for each in of_kind("PodDisruptionBudget") if selects(each["spec"]["selector"], document)]

    assert [budget["spec"]["maxUnavailable"] for budget in budgets] == [1]
    assert document["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


@named(workloads)
def test_a_network_policy_names_what_the_pod_talks_to(document):
    policies = [each["spec"] for each in of_kind("NetworkPolicy") if selects(each["spec"]["podSelector"], document)]
    (policy,) = policies
    ports = {port["port"] for rule in policy["egress"] for port in rule["ports"]}

    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    assert {53, 5432} <= ports
    assert (9092 in ports) == (container(document)["args"][0] == "relay")
    admitted = {port["port"] for rule in policy.get("ingress", ()) for port in rule["ports"]}
    assert admitted == {port["name"] for port in container(document).get("ports", ())}


def selects(selector, document):
    labels = document["spec"]["template"]["metadata"]["labels"]
    return selector["matchLabels"].items() <= labels.items()


@named(lambda: of_kind("Service", "ServiceMonitor", "PodMonitor"))
def test_a_service_or_monitor_finds_its_pods_and_their_port(document):
    spec = document["spec"]
    wanted = spec["selector"].get("matchLabels", spec["selector"])
    if document["kind"] == "ServiceMonitor":
        found = [each for each in of_kind("Service") if wanted.items() <= each["metadata"]["labels"].items()]
        ports = {port["name"] for each in found for port in each["spec"]["ports"]}
    else:
        found = [each for each in of_kind("Deployment") if selects({"matchLabels": wanted}, each)]
        ports = {port["name"] for each in found for port in container(each)["ports"]}
    entries = spec.get("ports") or spec.get("endpoints") or spec["podMetricsEndpoints"]

    assert len(found) == 1
    assert {entry.get("targetPort") or entry["port"] for entry in entries} <= ports


@named(lambda: of_kind("Ingress"))
def test_the_internet_reaches_webhooks_and_the_profile_and_nothing_else(document):
    paths = [path for rule in document["spec"]["rules"] for path in rule["http"]["paths"]]
    (service,) = of_kind("Service")

    assert {(path["path"], path["pathType"]) for path in paths} == {("/webhooks/clerk", "Exact"), ("/v1/me", "Exact")}
    assert "defaultBackend" not in document["spec"]
    for path in paths:
        backend = path["backend"]["service"]
        assert backend["name"] == service["metadata"]["name"]
        assert backend["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}
    assert {host for tls in document["spec"]["tls"] for host in tls["hosts"]} == {
        rule["host"] for rule in document["spec"]["rules"]
    }


def test_there_is_an_example_of_an_ingress():
    assert len(of_kind("Ingress")) == 1


@named(lambda: of_kind("HorizontalPodAutoscaler"))
def test_an_autoscaler_goes_by_metrics_that_are_exported_and_translated(document):
    code = "\n".join(path.read_text() for path in (ROOT / "src" / "entrypoints").rglob("*.py"))
    rules = yaml.safe_load((K8S / "components/autoscaling/prometheus-adapter.yaml").read_text())["rules"]
    series = {
        kind: {re.match(r"\w+", rule["seriesQuery"])[0] for rule in rules[key]}
        for kind, key in (("Pods", "custom"), ("External", "external"))
    }
    own = [metric for metric in document["spec"]["metrics"] if metric["type"] != "Resource"]
    (target,) = [
        each for each in of_kind("Deployment") if each["metadata"]["name"] == document["spec"]["scaleTargetRef"]["name"]
    ]

    assert own
    for metric in own:
        name = metric[metric["type"].lower()]["metric"]["name"]
        assert f'"{name}"' in code
        assert name in series[metric["type"]]
    assert "replicas" not in target["spec"]


@pytest.mark.parametrize("definition", TOPICS, ids=lambda definition: definition.default_name)
def test_a_topic_is_what_the_service_defines(definition):
    (topic,) = [each for each in of_kind("KafkaTopic") if each["metadata"]["name"] == definition.default_name]
    spec = topic["spec"]

    assert topic["apiVersion"] == "kafka.strimzi.io/v1"
    assert (spec["partitions"], spec["replicas"]) == (definition.partitions, definition.replication_factor)
    assert {name: str(value) for name, value in spec["config"].items()} == {
        **{setting.name: setting.value for setting in definition.settings},
        "min.insync.replicas": str(min_in_sync(spec["replicas"])),
    }


@pytest.mark.parametrize(
    ("component", "literals", "secured_by"),
    [
        ("kafka-client-certificate", [], "KAFKA_SSL_CERT_FILE"),
        (
            "kafka-oauth",
            ["KAFKA_OAUTH_TOKEN_URL=https://keycloak.example.com/token", "KAFKA_OAUTH_CLIENT_ID=auth"],
            "KAFKA_OAUTH_CLIENT_SECRET_FILE",
        ),
    ],
)
def test_a_relay_comes_to_kafka_in_another_way(tmp_path, component, literals, secured_by):
    shutil.copytree(K8S, tmp_path / "k8s")
    overlay = tmp_path / "k8s/overlays/example/kustomization.yaml"
    kustomization = yaml.safe_load(overlay.read_text())
    kustomization["components"].append(f"../../components/{component}")
    kustomization["configMapGenerator"][1]["literals"] += literals
    overlay.write_text(yaml.safe_dump(kustomization))
    documents = kustomized(overlay.parent)
    [relay] = [each for each in documents if each["kind"] == "Deployment" and "relay" in each["metadata"]["name"]]
    [config] = [each for each in documents if each["kind"] == "ConfigMap" and "relay" in each["metadata"]["name"]]
    variables = {**config["data"], **{entry["name"]: entry["value"] for entry in container(relay)["env"]}}
    authority = Authority(tmp_path, "ca")
    pair = authority.issue("user")
    (tmp_path / "kafka-client-secret").write_text("x")
    (tmp_path / "database-url").write_text("postgresql://db/auth")
    mounted = {"ca.crt": authority.file, "user.crt": pair.certificate, "user.key": pair.key}
    for name, text in variables.items():
        if name.endswith("_FILE"):
            found = text.rpartition("/")[2]
            variables[name] = str(mounted.get(found, tmp_path / found))
            mounts = {mount["mountPath"] for mount in container(relay)["volumeMounts"]}
            assert text.rpartition("/")[0] in mounts
    settings = load(RelaySettings, environment=variables, env_file=Path("/dev/null"))

    assert secured_by in variables
    assert settings.kafka.connection.security() is not None
    validator().validate(relay, validator().latest_version(), strict=True)
    assert {volume["name"] for volume in pod(relay)["volumes"]} == {
        mount["name"] for mount in container(relay)["volumeMounts"]
    }
