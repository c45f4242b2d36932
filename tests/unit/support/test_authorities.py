"""What is read of the authorities is shared by clients that trust the same ones, and by nobody else."""

import ssl

import certifi
import httpx

from support.authority import Authority


def test_clients_of_httpx_share_what_they_trust_and_it_is_what_they_would_read():
    first, second = httpx.create_ssl_context(trust_env=False), httpx.create_ssl_context(trust_env=False)

    assert first is second
    assert (first.verify_mode, first.check_hostname) == (ssl.CERT_REQUIRED, True)
    alone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    alone.load_verify_locations(cafile=certifi.where())
    assert sorted(first.get_ca_certs(binary_form=True)) == sorted(alone.get_ca_certs(binary_form=True))


def test_who_names_other_authorities_or_is_a_server_gets_what_nobody_else_has(tmp_path, monkeypatch):
    authority = Authority(tmp_path)
    own = ssl.create_default_context(cafile=authority.file)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))

    assert len(own.get_ca_certs()) == 1
    assert httpx.create_ssl_context().get_ca_certs() == own.get_ca_certs()
    assert ssl.create_default_context() is not ssl.create_default_context()
    servers = [ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certifi.where()) for _ in range(2)]
    assert servers[0] is not servers[1]
    assert servers[0].protocol is ssl.PROTOCOL_TLS_SERVER
