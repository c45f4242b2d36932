"""The TypeScript package as it is published: in projects of its own, and against the Python SDK."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from devkit.servers.ports import free_port
from support.releases import previous_release, published_by
from support.sdk_vectors import new_seed, sdk_vectors
from support.second_terminal import command, dev
from support.typescript_project import NODES, SDK, Project, examples, run

pytestmark = pytest.mark.programs

PARTY = "https://app.example.com"


def test_types_format_and_generated_files_are_as_they_must_be(package: Path):
    assert package.exists()  # which `npm pack` has built: its compiler checks what `npm run check` does
    run(["npm", "run", "check-text", "--silent"], SDK)


@pytest.mark.parametrize("node", NODES.values(), ids=NODES)
def test_the_same_inputs_are_decided_as_in_python(node: str, package: Path, tmp_path: Path):
    seed = new_seed()
    print(f"seed {seed}")  # of a failure
    made = sdk_vectors(seed)
    for sample in published_by(previous_release(tmp_path / "previous")):
        headers = [[name, base64.b64encode(text.encode()).decode()] for name, text in sample["headers"]]
        made["records"].append(
            {**sample, "name": "previous release", "after": 0, "expected": "handled", "headers": headers}
        )
    vectors = tmp_path / "vectors.json"
    vectors.write_text(json.dumps(made))

    assert package.exists()  # which built what is tested here
    run([node, "--test", "test/vectors.test.mjs"], SDK, VECTORS=str(vectors))


def test_the_package_has_nothing_but_what_is_used(package: Path):
    names = run(["tar", "--list", "--file", str(package)], package.parent).split()

    assert all(name.startswith("package/dist/") for name in names if name.count("/") > 1)
    assert {name for name in names if name.count("/") == 1} == {"package/package.json", "package/README.md"}


def test_without_any_framework_the_types_are_complete(bare_project: Project):
    modules = ("", "/express", "/client", "/events", "/consumer", "/state")
    text = "".join(f'import * as m{number} from "@anomalyze/auth{name}";\n' for number, name in enumerate(modules))
    (bare_project.folder / "all.ts").write_text(text + "console.log(m0, m1, m2, m3, m4, m5);\n")

    bare_project.compile("all.ts")
    run(["node", "all.js"], bare_project.folder)


def test_the_readme_shows_every_part():
    assert set(examples()) == {"express", "fastify", "revocations", "client", "kafkajs", "platformatic"}


@contextmanager
def running(*node: str, project: Project, name: str, **variables: str) -> Iterator[None]:
    with subprocess.Popen(
        [*node, f"{name}.js"], cwd=project.folder, env=variables, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(("{", "["))  # the address, as soon as it listens
            yield
        finally:
            process.kill()


@pytest.mark.parametrize("node", NODES.values(), ids=NODES)
@pytest.mark.parametrize("name", ["express", "fastify"])
def test_the_documented_middleware_decides_every_token_as_it_must(
    name: str, node: str, project: Project, tmp_path: Path
):
    port, jwks_port = free_port(), free_port()
    issuer = f"http://127.0.0.1:{jwks_port}"
    variables = {"PORT": str(port), "CLERK_ISSUER": issuer, "CLERK_AUTHORIZED_PARTIES": PARTY}
    with running(node, project=project, name=name, **variables):
        options = [
            "--key",
            str(tmp_path / "key.pem"),
            "--jwks-port",
            str(jwks_port),
            "--issuer",
            issuer,
            "--azp",
            PARTY,
        ]
        url = f"http://127.0.0.1:{port}/me"
        shown = run(
            [str(Path(sys.executable).with_name("auth-service")), "conformance", "tokens", url, *options, "--json"],
            tmp_path,
        )

    found = json.loads(shown)
    assert found["keys"].startswith("a key set")
    assert not any(found[kind] for kind in ("wrongly_accepted", "wrongly_refused", "answered_with_5xx", "not_answered"))


@pytest.fixture(scope="module")
def beside_dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder where `dev` runs."""
    folder = tmp_path_factory.mktemp("dev")
    with dev(folder, free_port()):
        yield folder


@pytest.mark.parametrize("name", ["express", "fastify"])
def test_the_documented_middleware_runs_beside_dev_with_the_variables_that_dev_writes(
    name: str, project: Project, beside_dev: Path
):
    port = free_port()
    token = command(beside_dev, "token", "--user", "user_ada").stdout.strip()
    node = [NODES["node20"], f"--env-file={beside_dev / 'var/dev/dev.env'}"]
    with (
        running(*node, project=project, name=name, PORT=str(port)),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
    ):
        answer = http.get("/me", headers={"authorization": f"Bearer {token}"})
        nobody = http.get("/me")

    assert (answer.status_code, answer.json()) == (200, {"user": "user_ada"})
    assert (nobody.status_code, nobody.json()["code"]) == (401, "token-missing")
