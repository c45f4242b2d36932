"""What stands beside the connection string: the environment, files, the home, the user that runs the process."""

import os
import pwd

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sdktest.rows import each_row

from adapters.postgres.connection.parameters import LIBPQ
from adapters.postgres.connection.target import read_target

URL = "postgresql://u@h:5433/db"


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_the_environment_completes_a_url_as_for_libpq_and_never_contradicts_it():
    environment = {
        "PGHOST": "elsewhere",
        "PGUSER": "v",
        "PGDATABASE": "other",
        "PGPASSWORD": "p",
        "PGSSLMODE": "require",
        "PGAPPNAME": "mine",
    }
    target = read_target(URL, environment)
    bare = read_target("postgresql://", environment)

    assert (target.addresses, target.user, target.database) == ((("h", 5433),), "u", "db")
    assert (target.password, target.tls.mode, target.application_name) == ("p", "require", "mine")
    assert (bare.addresses, bare.user, bare.database) == ((("elsewhere", 5432),), "v", "other")


@each_row(
    ("variable", "value", "says"),
    [
        ("PGSSLMODE", "verify", "sslmode is not one of"),
        ("PGCLIENTENCODING", "LATIN1", "client_encoding (PGCLIENTENCODING in the environment) is not supported"),
        ("PGREQUIREAUTH", "none", "require_auth (PGREQUIREAUTH in the environment) is not supported"),
        ("PGPASSFILE", "/nowhere", "passfile does not exist"),
        ("PGSSLROOTCERT", "/nowhere", "sslrootcert: there is no such file"),
        ("PGSERVICE", "x", "service: no file has"),
        ("PGTARGETSESSIONATTRS", "primary!", "target_session_attrs is not one of"),
    ],
)
def test_a_variable_of_libpqs_that_cannot_be_used_is_named(variable, value, says):
    more = {"PGSSLMODE": "require"} if variable == "PGSSLROOTCERT" else {}
    with pytest.raises(ValueError, match=r".") as refused:
        read_target(URL, {variable: value, **more})

    assert str(refused.value).startswith(says)


def test_a_home_of_another_user_counts_as_none(monkeypatch, tmp_path):
    """As in a container that runs as any uid: HOME is root's, and nothing below it may be looked at."""
    theirs = tmp_path / "theirs"
    (theirs / ".postgresql").mkdir(parents=True)
    for name in (".pgpass", ".pg_service.conf", ".postgresql/postgresql.key", ".postgresql/root.crt"):
        (theirs / name).write_text("not to be read")
    monkeypatch.setenv("HOME", str(theirs))
    theirs.chmod(0)
    try:
        # Root may read everything: become somebody else, as the container does.
        os.seteuid(65534) if os.geteuid() == 0 else None
        target = read_target(f"{URL}?sslmode=require", {})
        with pytest.raises(ValueError, match="sslmode=verify-full needs the certificate authority"):
            read_target(f"{URL}?sslmode=verify-full", {})
        with pytest.raises(ValueError, match="service: no file has"):
            read_target(f"{URL}?service=x", {})
    finally:
        os.seteuid(0) if os.getuid() == 0 else None
        theirs.chmod(0o700)

    assert (target.tls.root, target.tls.key, target.tls.certificate) == (None, None, None)
    assert target.password == ""
    assert target.tls.context()


@pytest.mark.parametrize("home", [None, "", "/nowhere", "/proc/1/root"])
def test_no_home_is_no_failure(monkeypatch, home):
    monkeypatch.delenv("HOME") if home is None else monkeypatch.setenv("HOME", home)

    assert read_target(URL, {}).tls.mode == "prefer"


def test_a_user_without_a_name_is_told_unless_the_url_names_one(monkeypatch):
    def nobody(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", nobody)

    with pytest.raises(ValueError, match="the user is missing"):
        read_target("postgresql://h/db", {})
    assert read_target(URL, {}).user == "u"
    assert read_target("postgresql://h/db", {"PGUSER": "v"}).user == "v"


@pytest.mark.parametrize(
    ("line", "password"),
    [
        ("h:5433:db:u:se:cret", "se:cret"),
        (r"h:5433:db:u:se\:cr\\et", r"se:cr\et"),
        ("*:*:*:*:any", "any"),
        ("other:5433:db:u:no\n# a comment\n*:5433:*:u:second", "second"),
        ("h:5432:db:u:no", ""),
        ("h:5433:db", ""),
        ("", ""),
    ],
)
def test_a_password_file_is_read_as_libpq_reads_it(tmp_path, line, password):
    file = tmp_path / "pgpass"
    file.write_text(f"{line}\n")
    file.chmod(0o600)

    assert read_target(URL, {"PGPASSFILE": str(file)}).password == password
    assert read_target(f"{URL}?passfile={file}", {}).password == password
    assert read_target(f"postgresql://u:mine@h:5433/db?passfile={file}", {}).password == "mine"


def test_a_password_file_that_others_may_read_is_refused_when_it_was_asked_for(tmp_path, home):
    for file in (tmp_path / "pgpass", home / ".pgpass"):
        file.write_text("*:*:*:*:secret\n")
        file.chmod(0o644)

    assert read_target(URL, {}).password == ""
    with pytest.raises(ValueError, match="passfile may be read by others"):
        read_target(URL, {"PGPASSFILE": str(tmp_path / "pgpass")})


@each_row("word", ["true", "True", "TRUE", "1", "yes", "on", "t"])
def test_a_pooler_may_be_announced_in_any_usual_word(word):
    assert read_target(f"{URL}?pgbouncer={word}", {}).pooled is True


@pytest.mark.parametrize("word", ["false", "0", "no", "OFF"])
def test_that_there_is_no_pooler_may_be_said_too(word):
    assert read_target(f"{URL}?pgbouncer={word}", {}).pooled is False
    assert read_target(URL, {}).pooled is None


VALUES = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), max_size=12)


def refusal(url):
    try:
        read_target(url, {})
    except ValueError as refused:
        return str(refused)
    return None


@example("hostaddr", "@").via("the driver reaches no abstract socket, whichever parameter names it")
@given(st.sampled_from(sorted(LIBPQ)), VALUES)
def test_any_value_of_any_parameter_is_taken_or_refused_by_its_name(name, value):
    escaped = "".join(f"%{byte:02X}" for byte in value.encode())
    says = refusal(f"postgresql://u@h/db?{name}={escaped}")

    assert says is None or (name if value else "the database name") in says
