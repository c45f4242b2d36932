"""A Kafka whose listeners demand a client certificate or an access token, and an endpoint that grants tokens."""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs

import jwt
from attrs import define, field, frozen
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from support import servers
from support.authority import Authority
from support.http_server import Answer, HttpServer, Request, http_server

CLIENT_ID, CLIENT_SECRET, AUDIENCE, ISSUER = "auth-service", "a+secret/with=signs %", "kafka", "https://oidc.test"
_OAUTH = "org.apache.kafka.common.security.oauthbearer"


@frozen
class DemandingKafka:
    open_address: str
    mtls: str
    """Where only a client certificate of `authority` is let in."""
    oauth: str
    """Where only an access token with `AUDIENCE` is let in, over TLS."""
    authority: Authority
    folder: Path
    """For more files; it is gone with the broker."""


@define
class TokenEndpoint:
    """Grants tokens to `CLIENT_ID`, as any OIDC server does; a test may change what it answers."""

    key: rsa.RSAPrivateKey
    server: HttpServer = field(init=False)
    secret: str = CLIENT_SECRET
    audience: str = AUDIENCE
    lifetime_s: int = 300
    in_body: bool = False
    """Knows clients by the body of the request only."""
    instead: Answer | None = None
    """Answers this, whatever is asked."""

    @property
    def url(self) -> str:
        return f"{self.server.url}/token"

    @property
    def granted(self) -> int:
        """How many tokens were asked for."""
        return len(self.server.requests)

    @property
    def variables(self) -> dict[str, str]:
        return {
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": "OAUTHBEARER",
            "KAFKA_OAUTH_TOKEN_URL": self.url,
            "KAFKA_OAUTH_CLIENT_ID": CLIENT_ID,
            "KAFKA_OAUTH_CLIENT_SECRET": CLIENT_SECRET,
        }

    def answer(self, request: Request) -> Answer:
        if self.instead is not None:
            return self.instead
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if request.method != "POST" or form.get("grant_type") != "client_credentials":
            return Answer(400, {"error": "unsupported_grant_type"})
        if self._client(request, form) != (CLIENT_ID, self.secret):
            return Answer(401, {"error": "invalid_client"})
        return Answer(200, {"access_token": self.token(), "token_type": "Bearer", "expires_in": self.lifetime_s})

    def token(self) -> str:
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": self.audience, "sub": CLIENT_ID, "scope": "kafka", "iat": now}
        return jwt.encode({**claims, "exp": now + self.lifetime_s}, self.key, algorithm="RS256", headers={"kid": "k1"})

    def _client(self, request: Request, form: dict[str, str]) -> tuple[str | None, str | None]:
        if self.in_body:
            return form.get("client_id"), form.get("client_secret")
        kind, _, text = dict(request.headers).get("Authorization", "").partition(" ")
        if kind != "Basic":
            return None, None
        pair = parse_qs("id=" + base64.b64decode(text).decode().replace(":", "&secret=", 1))  # RFC 6749 2.3.1
        return pair["id"][0], pair["secret"][0]


@contextmanager
def token_endpoint(key: rsa.RSAPrivateKey) -> Iterator[TokenEndpoint]:
    endpoint = TokenEndpoint(key)
    with http_server(endpoint.answer) as endpoint.server:
        yield endpoint


def key_set(key: rsa.RSAPrivateKey) -> dict[str, Any]:
    return {"keys": [{**json.loads(RSAAlgorithm.to_jwk(key.public_key())), "kid": "k1", "use": "sig", "alg": "RS256"}]}


@contextmanager
def demanding_kafka(key: rsa.RSAPrivateKey, **more: str) -> Iterator[DemandingKafka]:
    """Run it; tokens are checked with this key. `more` are settings of the broker, with `_` for `.`."""
    open_port, mtls, oauth, controller = (servers.free_port() for _ in range(4))
    in_container = servers.kind() == "containers"
    host = "localhost" if in_container else "127.0.0.1"
    here = "" if in_container else host
    listeners = {"PLAINTEXT": open_port, "MTLS": mtls, "OAUTH": oauth}
    with TemporaryDirectory(prefix="test-kafka-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the container's user is another one
        authority = Authority(folder)
        broker = authority.issue("broker")
        (folder / "broker.pem").write_bytes(broker.key.read_bytes() + broker.certificate.read_bytes())
        (folder / "jwks.json").write_text(json.dumps(key_set(key)))
        for file in (authority.file, folder / "broker.pem", folder / "jwks.json"):
            file.chmod(0o644)
        jwks = (folder / "jwks.json").as_uri()
        settings = {
            "listeners": ",".join(
                [
                    *(f"{kind}://{here}:{port}" for kind, port in listeners.items()),
                    f"CONTROLLER://{here}:{9093 if in_container else controller}",
                ]
            ),
            "advertised.listeners": ",".join(f"{kind}://{host}:{port}" for kind, port in listeners.items()),
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,MTLS:SSL,OAUTH:SASL_SSL",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(folder / "broker.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(authority.file),
            "listener.name.mtls.ssl.client.auth": "required",
            "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
            "listener.name.oauth.oauthbearer.sasl.jaas.config": f"{_OAUTH}.OAuthBearerLoginModule required;",
            "listener.name.oauth.oauthbearer.sasl.server.callback.handler.class": (
                f"{_OAUTH}.OAuthBearerValidatorCallbackHandler"
            ),
            "sasl.oauthbearer.jwks.endpoint.url": jwks,
            "sasl.oauthbearer.expected.audience": AUDIENCE,
            "sasl.oauthbearer.expected.issuer": ISSUER,
            **{name.replace("_", "."): value for name, value in more.items()},
        }
        properties = {"org.apache.kafka.sasl.oauthbearer.allowed.urls": jwks}
        places = (f"{host}:{mtls}", f"{host}:{oauth}", authority, folder)
        if in_container:
            underscored = {name.replace(".", "_"): value for name, value in settings.items()}
            ports, java = (mtls, oauth), " ".join(f"-D{name}={value}" for name, value in properties.items())
            with servers.kafka(port=open_port, more_ports=ports, folder=name, opts=java, **underscored) as server:
                yield DemandingKafka(server.address, *places)
            return
        from devkit.servers.kafka import start_kafka  # noqa: PLC0415

        settings["controller.quorum.voters"] = f"1@{host}:{controller}"
        embedded = start_kafka(folder / "data", port=open_port, settings=settings, properties=properties)
        try:
            yield DemandingKafka(embedded.bootstrap_servers, *places)
        finally:
            embedded.stop()
