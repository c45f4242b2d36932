"""Other ways to do the same job, each small and idiomatic, installed from PyPI, npm, Maven and Go into var/bench/."""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.stage import ISSUER, ROOT, Child, Stage
from devkit.conformance.jwks_server import serving_jwks
from devkit.fake_clerk.tokens import SessionTokens
from devkit.local.keys import public_half
from devkit.servers.ports import LOOPBACK, free_port

FOLDER = ROOT / "var" / "bench"
_SOURCES = Path(__file__).parent
_INSTALL_S = 600
_OAUTH2_PROXY = "github.com/oauth2-proxy/oauth2-proxy/v7@v7.15.6"

# A table as each ORM would make it from its model, for both.
USERS = """
CREATE TABLE users (
    id text PRIMARY KEY, email text, email_verified boolean NOT NULL, emails jsonb NOT NULL, phone text,
    username text, first_name text, last_name text, image_url text, external_id text, public_metadata jsonb NOT NULL,
    banned boolean NOT NULL, locked boolean NOT NULL, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL
)"""

# Clerk's middleware does not start without them; with the JWT key at hand it asks nobody.
_CLERK_KEYS = {
    "CLERK_PUBLISHABLE_KEY": "pk_test_" + base64.b64encode(b"clerk.bench.example$").decode(),
    "CLERK_SECRET_KEY": "sk_test_unused",
}


def python() -> Path:
    """Return the Python of the peers' virtual environment, made when it is missing or its requirements changed."""
    requirements = _SOURCES / "requirements.txt"
    folder = _fresh(FOLDER / "python", requirements)
    if folder is not None:
        _run([sys.executable, "-m", "venv", "--without-pip", folder])
        target: list[str | Path] = ["--python", folder / "bin" / "python", "--requirement", requirements]
        _run([Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", *target])
        _mark(folder, requirements)
    return FOLDER / "python" / "bin" / "python"


def node() -> Path:
    """Return the folder of the Express service with its packages in it and Prisma's client generated."""
    sources = [_SOURCES / "express" / name for name in ("package.json", "prisma/schema.prisma", "prisma.config.mjs")]
    folder = _fresh(FOLDER / "express", *sources)
    if folder is not None:
        folder.mkdir(parents=True)
        for source in sources:
            target = folder / source.relative_to(_SOURCES / "express")
            target.parent.mkdir(exist_ok=True)
            shutil.copy(source, target)
        _run(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder)
        # Generating needs no native engine, but asks for one unless it is told where it is.
        generate = ["env", "PRISMA_SCHEMA_ENGINE_BINARY=/bin/true", "npx", "prisma", "generate"]
        _run(generate, cwd=folder)
        _mark(folder, *sources)
    for program in (_SOURCES / "express").glob("*.mjs"):
        shutil.copy(program, FOLDER / "express" / program.name)
    return FOLDER / "express"


@contextmanager
def express(stage: Stage, url: str, topic: str) -> Iterator[tuple[int, Child]]:
    folder, port = node(), free_port()
    environment = {**_environment(stage, url, topic), **_CLERK_KEYS, "PORT": str(port), "NODE_ENV": "production"}
    with stage.child("express", ["node", "server.mjs"], environment, cwd=folder, port=port) as child:
        yield port, child


@contextmanager
def express_forward_auth(stage: Stage) -> Iterator[tuple[int, Child]]:
    folder, port = node(), free_port()
    key = public_half(stage.keys.private_key)
    environment = {**_CLERK_KEYS, "CLERK_JWT_KEY": key, "PORT": str(port), "NODE_ENV": "production"}
    with stage.child("forward-auth", ["node", "forward_auth.mjs"], environment, cwd=folder, port=port) as child:
        yield port, child


@contextmanager
def oauth2_proxy(stage: Stage, audience: str) -> Iterator[tuple[int, Child] | None]:
    """Run it as what verifies Bearer tokens, `azp` being its audience; None where there is no Go to build it with."""
    if shutil.which("go") is None:
        yield None
        return
    port = free_port()
    with serving_jwks(
        SessionTokens(private_key=stage.keys.private_key, issuer=ISSUER).jwks()["keys"], free_port()
    ) as keys:
        options = {
            "http-address": f"{LOOPBACK}:{port}",
            "provider": "oidc",
            "oidc-issuer-url": ISSUER,
            "oidc-jwks-url": keys,
            "oidc-audience-claim": "azp",
            "client-id": audience,
            "client-secret": "unused",
            "cookie-secret": "0123456789abcdef",
            "login-url": f"{ISSUER}/unused",
            "redeem-url": f"{ISSUER}/unused",
            "email-domain": "*",
            "upstream": "static://202",
        }
        switches = ["skip-oidc-discovery", "skip-jwt-bearer-tokens", "set-xauthrequest", "reverse-proxy"]
        switches += [f"{name}-logging=false" for name in ("auth", "request", "standard")]
        arguments = [f"--{name}={value}" for name, value in options.items()] + [f"--{name}" for name in switches]
        with stage.child("oauth2-proxy", [_oauth2_proxy(), *arguments], {}, port=port) as child:
            yield port, child


def _oauth2_proxy() -> Path:
    """Return the program, built when it is missing or of another version."""
    program = FOLDER / "go" / _OAUTH2_PROXY.rpartition("@")[2] / "oauth2-proxy"
    if not program.exists():
        _run(["go", "install", _OAUTH2_PROXY], environment={"GOBIN": str(program.parent)})
    return program


@contextmanager
def fastapi(stage: Stage, url: str, topic: str) -> Iterator[tuple[int, Child]]:
    port = free_port()
    app: list[str | Path] = [
        "--app-dir",
        _SOURCES,
        "fastapi_app:app",
        "--loop=uvloop",
        "--http=httptools",
        "--no-access-log",
    ]
    command = [python(), "-m", "uvicorn", *app, f"--port={port}", "--log-level=warning"]
    with stage.child("fastapi", command, _environment(stage, url, topic), port=port) as child:
        yield port, child


def _environment(stage: Stage, url: str, topic: str) -> dict[str, str]:
    return {
        "DATABASE_URL": url,
        "KAFKA_BOOTSTRAP_SERVERS": stage.kafka.bootstrap_servers,
        "TOPIC": topic,
        "CLERK_WEBHOOK_SECRET": stage.keys.webhook_secret,
        "CLERK_JWT_KEY": public_half(stage.keys.private_key),
        "CLERK_ISSUER": ISSUER,
    }


def _fresh(folder: Path, *sources: Path) -> Path | None:
    """Return the folder, emptied, when what is in it was not made from these files."""
    mark = folder / "made-from"
    if mark.exists() and mark.read_text() == _digest(*sources):
        return None
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder


def _mark(folder: Path, *sources: Path) -> None:
    (folder / "made-from").write_text(_digest(*sources))


def _digest(*sources: Path) -> str:
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def _run(command: Sequence[str | Path], cwd: Path = ROOT, environment: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=_INSTALL_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
