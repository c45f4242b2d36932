from types import SimpleNamespace

import pytest

from anomalyze_auth import OPTIONAL, PUBLIC, REQUIRED, Refused, Requirement
from anomalyze_auth.paths import Rules, is_ambiguous
from anomalyze_auth.problems import PATH_AMBIGUOUS
from sdktest.rows import each_row

ADMIN, BILLING = Requirement(role="org:admin"), Requirement(permission="org:billing:read")
RULES = Rules(
    {
        "/": OPTIONAL,
        "/docs/*": PUBLIC,
        "/admin/*": ADMIN,
        "/admin/billing/*": BILLING,
        "/admin/health": PUBLIC,
        "/Straße": ADMIN,
        "/café/*": ADMIN,
    },
    REQUIRED,
)


def rule_of(path: str, raw: bytes | None = None, rules: Rules = RULES, **more):
    """The rule, or None for a refusal."""
    try:
        return rules.of({"path": path, **({} if raw is None else {"raw_path": raw}), **more})
    except Refused as refused:
        return None if refused.problem == PATH_AMBIGUOUS else refused


@each_row(
    ("path", "expected"),
    [
        ("/", OPTIONAL),
        ("", OPTIONAL),
        ("/other", REQUIRED),
        ("/docs", PUBLIC),
        ("/docs/", PUBLIC),
        ("/docs/a/b", PUBLIC),
        ("/docs/a/b/" + "c/" * 20_000, PUBLIC),
        ("/docsx", REQUIRED),
        ("/docs-x", REQUIRED),
        ("/admin", ADMIN),
        ("/admin/x", ADMIN),
        ("/admin/x/", ADMIN),
        ("/admin/billing", BILLING),
        ("/admin/billing/x", BILLING),
        ("/admin/health", PUBLIC),
        ("/admin/health/", PUBLIC),
        ("/admin/health/x", ADMIN),
        ("/admin/User_2abcDEF", ADMIN),
        ("/admin/.well-known/a.b", ADMIN),
        ("/admin/a;b=1", ADMIN),
        ("/admin/a b+c@d~e!$&'()*,=:", ADMIN),
        ("/admin/100%", ADMIN),
        ("/admin/...", ADMIN),
        ("/admin/\u0633\u200c\u062f/👩\u200d💻", ADMIN),
        ("/café/x", ADMIN),
        ("/Straße", ADMIN),
    ],
)
def test_the_most_specific_rule_applies(path: str, expected):
    assert rule_of(path) is expected
    assert not is_ambiguous(path or "/")


@each_row(
    "path",
    [
        "relative",
        "*",
        "http://h/docs",
        "//",
        "//docs",
        "/docs//",
        "/docs//x",
        "/.",
        "/..",
        "/./docs",
        "/docs/.",
        "/docs/..",
        "/docs/../admin",
        "/docs/..;/admin",
        "/docs/..;v=1/admin",
        "/docs/ ../admin",
        "/docs/.. /admin",
        "/docs/..?",
        "/..#/a",
        "/docs\\x",
        "/docs\\..\\admin",
        "/docs\n",
        "/docs\r",
        "/docs\x00",
        "/docs\t",
        "/do\x7fcs",
        "/docs\x85",
        "/docs\u2028",
        "/docs\u2029",
        "/docs\ufffd",
        "/docs" + chr(0xD800),
        "/docs/%2e%2e/admin",
        "/docs/%2E",
        "/docs%2fx",
        "/%64ocs",
        "/docs%00",
        "/docs%5cx",
        "/docs/%25",
        "/docs/%u002e",
        "/docs/;x/y",
        "/docs/\uff0e\uff0e/admin",
        "/docs/\u2025/admin",
        "/docs/\uff0f/x",
        "/docs\uff3cx",
        "/docs/\uff05\uff12\uff45",
        "/;/docs",
    ],
)
def test_a_path_with_two_readings_has_no_rule_not_even_where_all_are_alike(path: str):
    assert rule_of(path) is None
    assert rule_of(path, rules=Rules({}, PUBLIC)) is None
    assert is_ambiguous(path)


@each_row(
    "path",
    [
        "/Admin",
        "/ADMIN/x",
        "/Docs/x",
        "/admin;v=1/x",
        "/admin;/x",
        "/docs;x",
        "/admin?x/y",
        "/docs#/x",
        "/docs?",
        "/admin#",
        "/\uff41dmin/x",
        "/café/x",
        "/CAFÉ/x",
        "/strasse",
        "/admin/HEALTH",
        "/admin/health;x",
        "/admin/health;/x",
        "/admin/health\uff1b/x",
        "/admin/health?x",
        "/admin/billing;x",
        "/a℀/x/../y",
    ],
)
def test_a_path_whose_readings_come_under_different_rules_has_no_rule(path: str):
    assert rule_of(path) is None


@each_row(
    ("path", "raw", "expected"),
    [
        ("/docs/a/b", b"/docs/a%2Fb", PUBLIC),
        ("/docs/a/b", b"/docs/a%2fb", PUBLIC),
        ("/docs/a b/é", b"/docs/a%20b/%C3%A9", PUBLIC),
        ("/docs/é", "/docs/é".encode(), PUBLIC),
        ("/docs/a", b"/%64ocs/a", PUBLIC),
        ("/docs/100%", b"/docs/100%25", PUBLIC),
        ("/docs/a", b"", PUBLIC),
        ("/docs/a", b"/docs%2Fa", None),
        ("/admin/billing/x", b"/admin/billing%2Fx", None),
        ("/admin/health", b"/admin%2Fhealth", None),
        ("/docs/a/", b"/docs/a%2F", PUBLIC),
        ("/docs/%zz", b"/docs/%zz", None),
        ("/docs/%", b"/docs/%", None),
        ("/docs/%u0061", b"/docs/%u0061", None),
        ("/docs/a", b"/docs//a", None),
        ("/docs/a", b"/docs/./a", None),
        ("/docs/a", b"/docs/b/../a", None),
        ("/docs/a", b"/docs/\xff", None),
    ],
)
def test_what_the_client_sent_counts_too_where_the_server_tells_it(path: str, raw: bytes, expected):
    assert rule_of(path, raw) is expected


STARLETTE = {"app": object()}


@each_row("app", [{}, STARLETTE], ids=["any", "starlette"])
@each_row(
    ("root", "path", "expected"),
    [
        ("/api", "/api/docs", PUBLIC),
        ("/api", "/api", OPTIONAL),
        ("/api", "/api/", OPTIONAL),
        ("/api", "/api/api/docs", REQUIRED),
        ("/api", "/api//docs", None),
        ("/api", "/api/../docs", None),
        ("/api/", "/api//docs", PUBLIC),
        ("/", "//docs", PUBLIC),
        ("/", "/docs", PUBLIC),
        ("/", "/", OPTIONAL),
        ("/a b", "/a b/docs", PUBLIC),
    ],
)
def test_rules_are_relative_to_the_root_path(app, root: str, path: str, expected):
    assert rule_of(path, root_path=root, **app) is expected
    assert rule_of(path, path.encode().replace(b" ", b"%20"), root_path=root, **app) is expected


@pytest.mark.parametrize(
    ("root", "path", "in_starlette"),
    [
        ("/api", "/docs", PUBLIC),
        ("/do", "/docs/x", PUBLIC),
        ("/api", "/apidocs", REQUIRED),
        ("/api", "/docs/api/admin", PUBLIC),
        ("/api/", "/api/docs", REQUIRED),
        ("/api", "/apihttp:", REQUIRED),
    ],
)
def test_a_root_path_that_frameworks_look_for_in_different_ways_leaves_no_rule(root: str, path: str, in_starlette):
    assert rule_of(path, root_path=root) is None
    assert rule_of(path, root_path=root, app=STARLETTE["app"]) is in_starlette


def litestar(path: str, raw: bytes | None, *mounts: str, is_mount: bool = True, **more):
    """The rule in Litestar after routing, for a handler that has these routes."""
    handler = SimpleNamespace(is_mount=is_mount)
    app = SimpleNamespace(routes=[SimpleNamespace(path=mount, route_handler=handler) for mount in mounts])
    return rule_of(path, raw, app=app, litestar_app=app, route_handler=handler, **more)


def test_below_a_mount_of_litestar_the_whole_path_counts():
    assert litestar("/health/", b"/admin/health", "/admin") is PUBLIC
    assert litestar("/docs/", b"/admin/docs", "/admin") is ADMIN
    assert litestar("/docs/", None, "/admin") is ADMIN
    assert litestar("/", b"/admin", "/admin") is ADMIN
    assert litestar("/docs/", b"/docs", "/") is PUBLIC
    assert litestar("x/", b"/adminx", "/admin") is ADMIN
    assert litestar("/docs/", b"/elsewhere/docs", "/admin") is ADMIN


def test_of_several_mounts_of_one_handler_that_one_counts_which_the_client_named():
    assert litestar("/x/", b"/admin/x", "/admin", "/docs") is ADMIN
    assert litestar("/x/", b"/docs/x/", "/admin", "/docs") is PUBLIC
    assert litestar("/x/", b"/api/docs/x", "/admin", "/docs", root_path="/api") is PUBLIC
    assert litestar("/x/", b"/elsewhere/x", "/admin", "/docs") is None
    assert litestar("/x/", None, "/admin", "/docs") is None


def test_what_litestar_has_routed_is_relative_to_the_root_path_already():
    assert litestar("/api/docs", b"/api/api/docs", is_mount=False, root_path="/api") is REQUIRED
    assert litestar("/docs", b"/api/docs", is_mount=False, root_path="/api") is PUBLIC
    assert litestar("/docs", b"/api//docs", is_mount=False, root_path="/api") is None


@each_row(
    "path",
    [
        "admin",
        "",
        "/a*",
        "/*/b",
        "/a/**",
        "*",
        "//",
        "/a//b",
        "//*",
        "/a/./b",
        "/a/..",
        "/a\n",
        "/a\\b",
        "/caf%C3%A9",
        "/%61",
        "/users/{id}",
        "/users/{id:int}/*",
        "/users/<id>",
        "/a;b",
        "/a?b",
        "/a#b",
        "/\uff0f",
    ],
)
def test_a_path_that_no_request_could_match_is_an_error_at_the_start(path: str):
    with pytest.raises(ValueError, match="A rule's path"):
        Rules({path: PUBLIC}, REQUIRED)


@pytest.mark.parametrize(
    "rules",
    [
        {"/a": PUBLIC, "/a/": REQUIRED},
        {"/a": PUBLIC, "/A": REQUIRED},
        {"/a/*": PUBLIC, "/A/*": ADMIN},
        {"/café": PUBLIC, "/cafe\u0301": ADMIN},
    ],
)
def test_two_rules_for_one_path_are_an_error_at_the_start(rules):
    with pytest.raises(ValueError, match="two rules"):
        Rules(rules, REQUIRED)


def test_the_same_rule_twice_is_none():
    assert (
        rule_of("/a", rules=Rules({"/a": ADMIN, "/a/": Requirement(role="org:admin"), "/A": ADMIN}, REQUIRED)) == ADMIN
    )


@pytest.mark.parametrize("rule", [None, True, "public", "org:admin", Requirement, {"role": "org:admin"}])
def test_what_is_no_rule_is_an_error_at_the_start(rule):
    with pytest.raises(ValueError, match="an Access or a Requirement"):
        Rules({"/": rule}, REQUIRED)
    with pytest.raises(ValueError, match="an Access or a Requirement"):
        Rules({"/": PUBLIC}, rule)


def test_a_rule_for_everything_is_the_default():
    assert rule_of("/a/b", rules=Rules({"/*": PUBLIC}, REQUIRED)) is PUBLIC
    assert rule_of("/", rules=Rules({"/*": PUBLIC}, REQUIRED)) is PUBLIC
