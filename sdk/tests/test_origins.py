import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomalyze_auth import PemKey, SessionVerifier, serialized_origin
from sdktest.rows import each_row
from sdktest.tokens import ISSUER, NOW, claims, pem, signed

EXTENSION = "abcdefghijklmnopabcdefghijklmnop"


@each_row(
    ("written", "sent"),
    [
        ("https://app.example.com", "https://app.example.com"),
        ("https://app.example.com/", "https://app.example.com"),
        ("  https://app.example.com ", "https://app.example.com"),
        ("HTTPS://App.Example.COM", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("https://app.example.com:0443/", "https://app.example.com"),
        ("https://app.example.com:", "https://app.example.com"),
        ("http://app.example.com:80", "http://app.example.com"),
        ("http://app.example.com:443", "http://app.example.com:443"),
        ("https://app.example.com:8443", "https://app.example.com:8443"),
        ("https://app.example.com.", "https://app.example.com."),
        ("https://a_b.example.com", "https://a_b.example.com"),
        ("https://%61pp.example.com", "https://app.example.com"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://BÜCHER.example", "https://xn--bcher-kva.example"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://straße.example", "https://xn--strae-oqa.example"),
        ("https://app。example.com", "https://app.example.com"),
        ("http://127.1:3000", "http://127.0.0.1:3000"),
        ("http://0x7f000001", "http://127.0.0.1"),
        ("http://[0:0:0:0:0:0:0:1]:5173", "http://[::1]:5173"),
        ("http://[2001:DB8::0001]", "http://[2001:db8::1]"),
        ("http://localhost:5173", "http://localhost:5173"),
        (f"chrome-extension://{EXTENSION}", f"chrome-extension://{EXTENSION}"),
        (f"Chrome-Extension://{EXTENSION.upper()}/", f"chrome-extension://{EXTENSION}"),
        (
            "moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc",
            "moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc",
        ),
        ("capacitor://localhost", "capacitor://localhost"),
        ("capacitor://LOCALHOST/", "capacitor://localhost"),
        ("capacitor-electron://-", "capacitor-electron://-"),
        ("ionic://localhost:80", "ionic://localhost:80"),
        ("tauri://localhost", "tauri://localhost"),
        ("http://tauri.localhost", "http://tauri.localhost"),
        ("app://.", "app://."),
        ("app://bücher", "app://xn--bcher-kva"),
        ("app://[::0:1]:443", "app://[::1]:443"),
    ],
)
def test_an_origin_is_written_as_browsers_send_it_however_a_person_spells_it(written: str, sent: str):
    assert serialized_origin(written) == sent
    assert serialized_origin(sent) == sent


@each_row(
    "text",
    [
        "",
        "null",
        "*",
        "hunter2.example.com",
        "hunter2.example.com:443",
        "https:hunter2.example.com",
        "https:/hunter2.example.com",
        "https:\\\\hunter2.example.com",
        "https://",
        "https:///hunter2",
        "https://:443",
        "capacitor://",
        "https://hunter2.example.com/path",
        "https://hunter2.example.com//",
        "https://hunter2.example.com?x",
        "https://hunter2.example.com#x",
        "https://hunter2@example.com",
        "app://hunter2@localhost",
        "https://hunter2.example.com\\",
        "https://*.hunter2.com",
        "https://%2a.hunter2.com",
        "https://\uff0a.hunter2.com",
        "chrome-extension://*",
        "*://hunter2.example.com",
        "https://hunter2.example.com:*",
        "https://hunter2.example.com:99999",
        "https://hunter2.example.com:https",
        "https://hunter2 .example.com",
        "https://hunter2\n.example.com",
        "https://hunter2\t.example.com",
        "https://hunter2\u200b.example.com",
        "https://hunter2.1.2.3.4.5",
        "https://[hunter2]",
        "http://[fe80::1%25hunter2]",
        "https://xn--hunter2-\u00fc.example",
        "file:///hunter2",
        "file://hunter2",
        "data://hunter2",
        "about://hunter2",
        "javascript://hunter2",
        "blob:https://hunter2.example.com",
        "BLOB://hunter2",
        "wss://hunter2.example.com",
        "https://hunter2.example.com,https://b.example.com/",
        "\ud800://hunter2",
        "https://\ud800hunter2",
    ],
)
def test_what_no_page_or_every_page_has_for_an_origin_is_refused_without_repeating_it(text: str):
    with pytest.raises(ValueError, match="not an origin") as refused:
        serialized_origin(text)

    assert "hunter2" not in str(refused.value)


@given(st.text() | st.text().map("https://{}".format) | st.text().map("app://{}".format))
def test_any_text_is_an_origin_in_its_one_spelling_or_refused(text: str):
    try:
        origin = serialized_origin(text)
    except ValueError:
        return

    assert serialized_origin(origin) == origin
    assert origin.isascii()
    assert "*" not in origin


@pytest.mark.parametrize("written", ["https://App.example.com:443/", "https://app.example.com"])
def test_a_verifier_compares_parties_in_that_spelling(written: str):
    verifier = SessionVerifier(PemKey(pem()), issuer=ISSUER, authorized_parties=[written], now=lambda: float(NOW))

    assert verifier.authorized_parties == {"https://app.example.com"}
    assert verifier.verify_now(signed(claims(azp="https://app.example.com"))) is not None


@pytest.mark.parametrize("parties", [[""], ["null"], ["https://app.example.com", ""], ["https://*.example.com"]])
def test_a_party_that_would_match_nobody_or_everybody_is_an_error_at_the_start(parties: list[str]):
    with pytest.raises(ValueError, match="not an origin"):
        SessionVerifier(PemKey(pem()), issuer=ISSUER, authorized_parties=parties)
