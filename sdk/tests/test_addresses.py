import pytest

from anomalyze_auth import JwksKeys
from sdktest.rows import each_row


@each_row(
    "url",
    [
        "https://clerk.example.com/.well-known/jwks.json",
        "HTTPS://clerk.example.com",
        "https://10.0.0.1/jwks",
        "http://localhost:3004/jwks",
        "HTTP://LOCALHOST/jwks",
        "http://localhost./jwks",
        "http://clerk.localhost/jwks",
        "http://127.0.0.1:3004/jwks",
        "http://127.9.9.9/jwks",
        "http://[::1]:3004/jwks",
        "http://[0:0:0:0:0:0:0:1]/jwks",
        "http://clerk-stand-in.test:3004/jwks",
    ],
)
def test_keys_are_taken_over_https_and_from_this_machine(url: str):
    assert JwksKeys(url) is not None


@each_row(
    "url",
    [
        "http://hunter2.example.com/jwks",
        "HTTP://hunter2.example.com/jwks",
        "http://hunter2/jwks",
        "http://hunter2.internal/jwks",
        "http://10.0.0.1/hunter2",
        "http://0.0.0.0/hunter2",
        "http://[::]/hunter2",
        "http://[2001:db8::1]/hunter2",
        "http://2130706433/hunter2",
        "http://128.0.0.1/hunter2",
        "http://localhost.hunter2.com/jwks",
        "http://127.0.0.1.hunter2.com/jwks",
        "http://localhost@hunter2.com/jwks",
        "http://hunter2@localhost/jwks",
        "http://localhost\\@hunter2.com/jwks",
        "http://hunter2localhost/jwks",
        "http://hunter2.nottest/jwks",
        "http://test/hunter2",
        "http://clerk.test.hunter2.com/jwks",
        "http:hunter2",
        "http:///hunter2",
        "https://hunter2..example.com/jwks",
        f"https://hunter2{'h' * 60}.example.com/jwks",
        "ftp://localhost/hunter2",
        "file:///hunter2",
        "localhost:3004/hunter2",
        "//hunter2",
        "http://localhost:99999/hunter2",
        "http://[hunter2/jwks",
        " http://localhost\n.hunter2.com/jwks",
        "hunter2",
        "",
    ],
)
def test_keys_that_could_be_replaced_on_the_way_are_an_error_at_the_start(url: str):
    with pytest.raises(ValueError, match="http") as refused:
        JwksKeys(url)

    assert "hunter2" not in str(refused.value)
