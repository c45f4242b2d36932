"""`auth-service conformance`: test whether a program verifies tokens and consumes events correctly."""

import asyncio
import json as json_format
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cyclopts import App, Parameter

from anomalyze_auth.kafka.connection import brokers
from devkit.commands.token import key_of_dev
from devkit.conformance import consumer as consumers
from devkit.conformance import tokens as token_checks
from devkit.conformance.jwks_server import serving_jwks
from devkit.conformance.token_vectors import Signer, reasons_for_classes
from devkit.local.environment import DATA_DIR, load_beside_dev
from devkit.local.keys import ISSUER, new_keys, public_half
from devkit.local.private_file import write_private
from devkit.settings import TokenCommandSettings
from domain.user import InvalidUserIdError, parse_user_id
from entrypoints.cli.exit_codes import EX_CONFIG, EX_NOT_DONE, EX_UNAVAILABLE, EX_USAGE
from entrypoints.cli.options import between
from entrypoints.cli.terminal import console_for_progress, fail
from entrypoints.config.parsing import split_url

KID = "ins_conformance"

app = App(name="conformance", help="Test whether a program verifies tokens and consumes events correctly.")


@app.command
def tokens(  # noqa: PLR0913  # options of a command
    url: str,
    /,
    *,
    key: Path | None = None,
    kid: str = KID,
    issuer: str | None = None,
    azp: str | None = None,
    user: str = "user_ada",
    jwks_port: Annotated[int | None, between(0, 65_535)] = None,
    json: bool = False,
    data_dir: Path = DATA_DIR,
) -> None:
    """Send valid and invalid session tokens to a service; list the classes it decides wrongly or answers with 5xx.

    URL must answer 2xx to any signed-in caller, and another status below 500 to all others; `/v1/verify` of this
    service does. The service must trust the key. With `auth-service dev` it does; elsewhere create a
    throw-away key with --key, and configure the service with FILE.pub, or with the key set that --jwks-port serves.
    Prints nothing of the tokens. Ends with status 1 when a class is decided wrongly, 78 when the service refuses a
    plain session token, lets anybody in, or needs most of a second to answer; 69 when nothing answers there.

    Parameters
    ----------
    url
        Where to send them, each as `Authorization: Bearer …` of a GET request.
    key
        File with the private key (PEM) to sign with; created with its public key in FILE.pub if it does not exist. By
        default the key of `auth-service dev`.
    kid
        The `kid` of the key in the service's configuration.
    issuer
        What the service expects in `iss`; CLERK_ISSUER by default.
    azp
        One of the service's authorized parties; the first of CLERK_AUTHORIZED_PARTIES by default. Without any,
        `azp` is not tested.
    user
        The user in the tokens.
    jwks_port
        Serve the public key as a key set at `http://127.0.0.1:PORT/.well-known/jwks.json` while the command runs.
    json
        One object for other programs.
    data_dir
        Data folder of `auth-service dev`.
    """
    try:
        parse_user_id(user)
    except InvalidUserIdError as error:
        fail(f"--user {user}: {error}.", EX_USAGE)
    _require_address(url)
    signer, has_party = _signer(key, kid, issuer, azp, user, data_dir)
    unchecked = frozenset() if has_party else frozenset({"authorized-party-mismatch"})
    serving = nullcontext() if jwks_port is None else serving_jwks([signer.jwk], jwks_port)
    try:
        authorities = httpx.create_ssl_context()  # SSL_CERT_FILE, if set
    except OSError as error:
        fail(f"SSL_CERT_FILE: {error.strerror or error}.", EX_CONFIG)
    authorities.load_default_certs()
    # Not by way of a proxy: what is judged is the service's own answer.
    client = httpx.Client(timeout=token_checks.ANSWER_S, trust_env=False, verify=authorities)
    try:
        with serving, client, _progress("tokens sent", quiet=json) as on_sent:
            found = token_checks.examine(client, url, signer, unchecked=unchecked, on_sent=on_sent)
    except token_checks.ControlFailedError as failed:
        fail(f"{failed}\nNothing else was sent.", EX_CONFIG)
    except token_checks.NotReachedError as error:
        fail(str(error), EX_UNAVAILABLE)
    except OSError as error:
        fail(f"--jwks-port {jwks_port}: {error.strerror}.", EX_USAGE)
    _show_tokens(found, json=json)
    sys.exit(0 if found.clean else EX_NOT_DONE)


@app.command
def consumer(
    *command: Annotated[str, Parameter(allow_leading_hyphen=True)],
    bootstrap_servers: str | None = None,
    skip: Annotated[tuple[Literal["revocation", "state"], ...], Parameter(negative="")] = (),
    wait: Annotated[float, between(0.1, 3600)] = 60.0,
    json: bool = False,
) -> None:
    """Publish duplicates, unknown types, deletions and revocations to a consumer, restart it, and report its errors.

    COMMAND is started for each scene, with KAFKA_BOOTSTRAP_SERVERS, KAFKA_USER_EVENTS_TOPIC, KAFKA_USER_STATE_TOPIC and
    KAFKA_SESSION_EVENTS_TOPIC in its environment. It must print a line `ready: N users` when it has caught up, and one
    for each change that takes effect: `created|updated|deleted USER version N`, `revoked SESSION`; the line may
    continue, and other lines are ignored. Topics are new, on a Kafka that the command starts. Exit status 1: the
    consumer made an error.

    Parameters
    ----------
    command
        The consumer, after `--`: `auth-service conformance consumer -- node follow-users.mjs`.
    bootstrap_servers
        A running Kafka; topics `conformance-…` are created there, and not deleted.
    skip
        `revocation` for a consumer that does not read session events; `state` for one that does not
        read the state topic.
    wait
        Seconds for each line that the consumer must print.
    json
        One object for other programs.
    """
    if not command:
        fail("Which consumer? Write its command after `--`.", EX_USAGE)
    if shutil.which(command[0]) is None:
        fail(f"{command[0]}: there is no such program, or it may not be run.", EX_USAGE)
    if bootstrap_servers is not None:
        try:
            bootstrap_servers = ",".join(each.address for each in brokers(bootstrap_servers))
        except ValueError as error:
            fail(f"--bootstrap-servers: {error}.", EX_USAGE)
    try:
        found = asyncio.run(consumers.examine(command, bootstrap_servers, skip=frozenset(skip), wait_s=wait))
    except consumers.CannotRunError as error:
        fail(str(error), EX_UNAVAILABLE)
    if json:
        print(json_format.dumps({"played": list(found.played), "wrong": dict(found.wrong)}))
    else:
        for name in found.played:
            print(
                f"{'WRONG' if name in found.wrong else 'ok':7}{name}: {found.wrong.get(name, consumers.SCENES[name])}"
            )
    sys.exit(EX_NOT_DONE if found.wrong else 0)


def _require_address(url: str) -> None:
    """End the program where nothing can be asked."""
    try:
        address = split_url(url)
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL) as error:
        fail(f"URL: {error}.", EX_USAGE)
    if address.scheme not in {"http", "https"} or not address.hostname:
        fail("URL: write http://HOST:PORT/… or https://HOST/….", EX_USAGE)
    if "@" in address.netloc:  # httpx would send it instead of the token
        fail("URL: leave out the user name and the password.", EX_USAGE)


def _signer(  # noqa: PLR0913, PLR0917  # as the command has them
    key: Path | None, kid: str, issuer: str | None, azp: str | None, user: str, data_dir: Path
) -> tuple[Signer, bool]:
    if key is None:
        settings = load_beside_dev(TokenCommandSettings, data_dir).tokens
        private = load_pem_private_key(key_of_dev(settings, data_dir).encode(), password=None)
        issuer = issuer or settings.issuer or ISSUER
        azp = azp or next(iter(settings.clerk_authorized_parties), None)
    else:
        private = load_pem_private_key(_key_in(key).encode(), password=None)
        issuer = issuer or ISSUER
        if data_dir != DATA_DIR:
            fail("--key and --data-dir exclude each other.", EX_USAGE)
    if not isinstance(private, RSAPrivateKey):
        fail(f"{key}: not an RSA key.", EX_USAGE)
    party = azp or "https://app.example.com"
    return Signer(key=private, kid=kid, issuer=issuer, party=party, user=user), azp is not None


def _key_in(file: Path) -> str:
    try:
        if not file.exists():
            write_private(file, new_keys().private_key)
        text = file.read_text()
        file.with_name(f"{file.name}.pub").write_text(public_half(text) + "\n")
    except (OSError, ValueError) as error:
        fail(f"--key {file}: {error}.", EX_USAGE)
    return text


def _show_tokens(found: token_checks.Findings, *, json: bool) -> None:
    kinds: dict[str, Mapping[str, tuple[str, ...]]] = {
        "wrongly accepted": found.wrongly_accepted,
        "wrongly refused": found.wrongly_refused,
        "answered with 5xx": found.server_errors,
        "not answered": found.unanswered,
    }
    if json:
        by_name: dict[str, Any] = {kind.replace(" ", "_"): classes for kind, classes in kinds.items()}
        print(
            json_format.dumps({"sent": found.sent, "not_sendable": found.not_sendable, "keys": found.keys, **by_name})
        )
        return
    print(f"{found.sent} tokens sent; the service has {found.keys}.")
    for kind, classes in kinds.items():
        for token_class, names in classes.items():
            print(f"{kind}: {token_class}\n  {reasons_for_classes()[token_class]}\n  {'; '.join(names)}")
    if found.clean:
        print("Every class is decided correctly.")


@contextmanager
def _progress(what: str, *, quiet: bool) -> Iterator[Any]:
    console = console_for_progress()
    count = 0
    with nullcontext() if quiet or not console.is_terminal else console.status("") as status:

        def one_more() -> None:
            nonlocal count
            count += 1
            if status is not None:
                status.update(f"{count} {what}")

        yield one_more
