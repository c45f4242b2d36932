"""The stack of `docker-compose.yml`, brought up under a name and on a port of its own."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import define, field

from devkit.servers.ports import free_port

ROOT = Path(__file__).parents[2]


@define(eq=False)
class Stack:
    """A running compose project."""

    project: str
    port: int
    folder: Path = ROOT
    """Where docker-compose.yml is, and `.env`, if there is one."""
    variables: Mapping[str, str] = field(factory=dict)
    """Of Compose's own, such as COMPOSE_PROFILES."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **{name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_HOST") if name in os.environ},
            "COMPOSE_PROJECT_NAME": self.project,
            "AUTH_SERVICE_VERSION": "test",
            "HTTP_PORT": str(self.port),
            # A broker that is up for a minute is not worth compiling for.
            "KAFKA_JVM_PERFORMANCE_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
            **self.variables,
        }

    def compose(self, *arguments: str, check: bool = True) -> str:
        """Run `docker compose …` and return its output."""
        return self.run("docker", "compose", *arguments, check=check)

    def run(self, *command: str, check: bool = True, within: float = 300) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=within, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def service(self, *arguments: str, container: str = "serve") -> str:
        """Run `auth-service …` inside a container, as a developer would."""
        return self.compose("exec", "-T", container, "auth-service", *arguments)

    def containers(self, service: str) -> list[dict[str, Any]]:
        """Return what `docker inspect` says of a service's containers, stopped ones too."""
        ids = self.compose("ps", "--all", "--quiet", service).split()
        return list(json.loads(self.run("docker", "inspect", *ids))) if ids else []

    def exit_codes(self, *services: str) -> dict[str, set[int]]:
        return {name: {each["State"]["ExitCode"] for each in self.containers(name)} for name in services}

    def query(self, statement: str) -> list[str]:
        """Ask PostgreSQL, and return the rows."""
        psql = ("psql", "--username=auth", "--no-align", "--tuples-only", f"--command={statement}")
        return self.compose("exec", "-T", "postgres", *psql).split()

    def events(self, count: int) -> list[dict[str, Any]]:
        """Return the first so many events of the topic."""
        lines = self.service("events", "tail", "--from-beginning", "--json", f"--limit={count}", container="relay")
        return [json.loads(line) for line in lines.splitlines()]


@contextmanager
def stack(folder: Path = ROOT, **variables: str) -> Iterator[Stack]:
    """Build the images, bring everything up that is in the folder, and leave nothing behind but the images."""
    assert not (ROOT / ".env").exists(), "a .env would configure the stack under test: move it away for this test"
    port = free_port()
    running = Stack(f"auth-service-test-{port}", port, folder, variables)
    try:
        Stack(running.project, port).compose("build")
        running.compose("up", "--detach", "--wait")
        yield running
    except AssertionError:
        print(running.compose("logs", "--tail=60", check=False))
        raise
    finally:
        running.compose("--profile=*", "down", "--volumes", "--remove-orphans", "--timeout=10", check=False)
