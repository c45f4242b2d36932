"""A connection string means what it means to libpq, which is asked itself."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sdktest.rows import each_row

from adapters.postgres.connection.conninfo import read_conninfo
from adapters.postgres.connection.parameters import IGNORED, LIBPQ, UNSUPPORTED
from support import libpq


def understood(text):
    try:
        return read_conninfo(text)
    except ValueError:
        return None


def test_every_parameter_of_libpq_is_known_with_its_variable():
    assert libpq.parameters() == LIBPQ
    assert set(UNSUPPORTED) - {"sslaccept", "sslidentity"} < set(LIBPQ)
    assert set(IGNORED) & set(LIBPQ) == {"channel_binding"}


PIECES = st.sampled_from(
    (
        *("u", "p", "h", "db", ":", "@", "/", "?", "&", "=", ",", "#", "+", "%40", "%2F", "%20", "%zz", "%", "%00"),
        *("[", "]", "::1", "5432", "host", "port", "user", "password", "dbname", "sslmode", "require", "options", "-c"),
        *("ü", "'", "\\", " "),
    )
)


@given(st.lists(PIECES, max_size=14).map("".join))
@example("u:p#w?x@h/db")
@example("u:p@h1:1,h2:2,[::1]:3/db?sslmode=require")
@example("u:p@h1,h2:2/db")
@example("h?user=a@b")
@example("/db?host=/cloudsql/a:b:c&user=u&password=a+b")
@example("u:p@%2Fcloudsql%2Fa:5433/db")
@example("u:p@local/db?host=elsewhere&host=last")
def test_a_url_is_taken_apart_as_libpq_does_or_refused(rest):
    text = f"postgresql://{rest}"
    theirs, ours = libpq.parse(text), understood(text)

    if theirs is not None and ours is not None:
        assert ours == {name: value for name, value in theirs.items() if value}


@given(st.lists(PIECES, max_size=14).map("".join))
@example("host=h port=5432 dbname=db user=u password='it''s'")
@example("host = h  dbname='a b' password='it\\'s \\\\ here'")
@example("host=h dbname=db password=a\\ b'c")
@example("host='' dbname=db")
def test_keywords_and_values_are_taken_apart_as_libpq_does_or_refused(text):
    theirs, ours = libpq.parse(text), understood(text)

    if theirs is not None and ours is not None and "://" not in text:
        assert ours == {name: value for name, value in theirs.items() if value}


@given(st.text(st.characters(codec="utf-8"), min_size=1).filter(str.isprintable))
def test_a_password_of_any_characters_comes_through_when_it_is_escaped(password):
    escaped = "".join(f"%{byte:02X}" for byte in password.encode())

    assert read_conninfo(f"postgresql://u:{escaped}@h/db")["password"] == password
    assert libpq.parse(f"postgresql://u:{escaped}@h/db")["password"] == password


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:p@h1:5432,h2:5433/db?target_session_attrs=read-write",
        "postgres://u@h",
        "postgresql:///db?host=/run/postgresql",
        "postgresql://u:p%40x@[::1]:5432/db?sslmode=require",
        "postgresql://u:p#w@h/db",
        "host=h port=5432 dbname=db user=u password='a b' sslmode=require",
    ],
)
def test_what_libpq_takes_is_taken(text):
    assert read_conninfo(text) == libpq.parse(text)


@each_row(
    ("text", "part"),
    [
        ("mysql://u:hunter2@h/db", "the scheme is not postgresql://"),
        ("jdbc:postgresql://h/db", "names a driver"),
        ("postgresql+asyncpg://u:hunter2@h/db", "names a driver"),
        ("PostgreSQL://u:hunter2@h/db", "differs in case"),
        ("hunter2", "neither a URL"),
        ("postgresql://u:hunter2@more@h/db", "%40"),
        ("postgresql://user@server:hunter2@server.postgres.database.azure.com/db", "%40"),
        ("postgresql://u:hunter2%@h/db", "the password holds a %"),
        ("postgresql://hunter2%g0@h/db", "the user holds a %"),
        ("postgresql://u:%ffhunter2@h/db", "the password is not UTF-8"),
        ("postgresql://u:hunter2%00@h/db", "the password holds line breaks or other invisible characters"),
        ("postgresql://u@[::1/db", "host 1 is not an IPv6 address"),
        ("postgresql://u@h,[]/db", "host 2 is not an IPv6 address"),
        ("postgresql://u@2001:db8::1/db", "an IPv6 address stands in brackets"),
        ("postgresql://u@h/db?sslmode", "parameter number 1 has no value"),
        ("postgresql://h/db?a=1&hun%20ter2=1", "parameter number 2 is no name"),
        ("host=h dbname=db password=it is hunter2", "pair 4 is not name=value"),
        ("host=h dbname=db password='hunter2", "pair 3 is not name=value"),
    ],
)
def test_what_is_refused_is_named_and_not_repeated(text, part):
    with pytest.raises(ValueError, match=r".") as refused:
        read_conninfo(text)

    assert part in str(refused.value)
    assert "hunter2" not in str(refused.value)
