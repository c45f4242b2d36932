"""The image that is deployed: the service, and nothing of a developer's machine."""

import subprocess
from collections.abc import Iterator

import pytest

from support.compose import ROOT

pytestmark = pytest.mark.containers

IMAGE = "auth-service-release:test"
OF_THE_DEVKIT = ("dev", "demo", "trigger", "token", "dev-keys", "clerk-stand-in")


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    docker("build", "--quiet", "--tag", IMAGE, ".")
    yield IMAGE
    docker("image", "rm", "--force", IMAGE)


def test_it_holds_what_the_service_needs_and_no_tools(image):
    found = docker(
        *("run", "--rm", "--entrypoint", "sh", image, "-c"),
        "ls /opt/venv/bin /opt/app; command -v gcc cc curl wget make uv; "
        "find /opt -name '*.c'; find /opt/app -name 'test_*'; true",
    )

    assert {"auth-service", "domain", "application", "adapters", "entrypoints", "anomalyze_auth"} <= set(found.split())
    for unwanted in ("pip", "pytest", "mypy", "/gcc", "/cc", "/curl", "/uv", ".c\n", "test_", "devkit"):
        assert unwanted not in found


def test_nothing_in_it_stands_in_for_clerk_mints_tokens_or_makes_keys_up(image):
    named = "import sys, pathlib; print(*(path.name for path in pathlib.Path('/opt/app').rglob('*.py')))"
    modules = docker("run", "--rm", "--entrypoint", "python", image, "-c", named)
    commands = docker("run", "--rm", image, "--help")

    assert not {"session_tokens.py", "samples.py", "stand_in", "fake_clerk", "webhook_factory.py"} & set(
        modules.split()
    )
    listed = {line.split(":")[0].strip() for line in commands.splitlines() if line.startswith("  ")}
    assert {"serve", "relay", "migrate"} <= listed
    assert not listed & set(OF_THE_DEVKIT)


def test_our_own_code_needs_no_server_of_http_but_the_one_that_serves(image):
    """h11 comes with httpx; nothing of ours imports it."""
    found = docker("run", "--rm", "--entrypoint", "sh", image, "-c", "grep -rl 'import h11' /opt/app || true")

    assert found == ""
