"""Every command of the documentation is tested, or says here why it is not; a new one has to be entered."""

import re
import shlex
from contextlib import suppress
from pathlib import Path

from cyclopts.exceptions import MissingArgumentError
from sdktest.rows import each_row

from entrypoints.cli.main import app_for
from support.documentation import ROOT, Block, shell_blocks, spans

CLI = "tests/integration/cli"
CONTAINERS = "tests/integration/containers/test_compose.py"
KUBERNETES = "tests/integration/programs/kubernetes/test_manifests.py"
STAND_IN = "tests/integration/clerk_stand_in"
NPM = "tests/support/typescript_project.py"
REQUESTS = "tests/unit/docs/test_requests.py"

AUTH_SERVICE = {
    "completion": "tests/unit/cli/test_completion.py",
    "clerk-stand-in": f"{STAND_IN}/test_command.py",
    "config": "tests/unit/cli/test_config.py",
    "conformance consumer": "tests/integration/programs/consumers/test_examples.py",
    "conformance tokens": "tests/unit/conformance/test_tokens.py",
    "demo": f"{CLI}/test_demo.py",
    "dev": f"{CLI}/test_dev.py",
    "dev-keys": CONTAINERS,
    "doctor": f"{CLI}/test_doctor.py",
    "events tail": f"{CLI}/test_beside_dev.py",
    "migrate": CONTAINERS,
    "outbox dead": f"{CLI}/test_outbox_commands.py",
    "outbox discard": f"{CLI}/test_outbox_commands.py",
    "outbox retry": f"{CLI}/test_outbox_commands.py",
    "outbox status": f"{CLI}/test_outbox_commands.py",
    "reconcile": "tests/support/reconcile_stage.py",
    "relay": "tests/support/processes.py",
    "serve": "tests/integration/faults/rotation/conftest.py",
    "service-key new": "tests/unit/cli/test_service_key.py",
    "token": f"{CLI}/test_beside_dev.py",
    "topic check": f"{CLI}/test_topic.py",
    "topic create": f"{CLI}/test_topic.py",
    "topic fill": "tests/integration/relay/test_relay_state.py",
    "topic repair": f"{CLI}/test_topic_repair.py",
    "trigger": f"{CLI}/test_dev.py",
    "users erased": f"{CLI}/test_users_history.py",
    "users history": f"{CLI}/test_users_history.py",
    **{
        f"users {name}": f"{CLI}/test_users_commands.py"
        for name in (
            *("get", "list", "ban", "unban", "lock", "unlock", "set-metadata", "revoke-sessions", "sync", "delete"),
        )
    },
}
"""Command → the file that runs it. That each line's options exist is tested below."""

MAKE = {
    "demo": f"{CLI}/test_demo.py",
    "dev": f"{CLI}/test_dev.py",
    **dict.fromkeys(
        (
            *("check", "docs", "install", "lock", "test"),
            *("test-containers", "test-faults", "test-programs", "test-servers", "test-stacks"),
        ),
        ".ci/run",
    ),
    "unit": "not run by itself: a part of `make test`",
    "failover": "not run by itself: the same test as in `make test-faults`, for longer",
    "test-patroni": "not run by CI: it needs etcd; tests/integration/patroni/test_patroni.py",
    "chaos": "not run by itself: the same test as in `make test-faults`, for longer",
    "baseline": "not run: it writes what tests/integration/postgres/test_costs.py compares with",
    "bench": "not run: it measures for minutes, and asserts nothing",
    "format": "not run: `make check` says whether anything is left to do",
    "freeze": "not run: for a release, by hand; tests/integration/postgres/test_previous_release.py uses what it made",
    "mutation": "not run: for whoever looks for missing tests, for minutes to hours",
    "generate": "not run: `make check` runs it with --check",
}

OTHERS = {
    "clerk webhooks listen --forward-to http://localhost:3002/webhooks/clerk": "not run: Clerk's program and servers",
    ". var/dev/dev.env": f"{CLI}/test_beside_dev.py",
    'clerk() { curl -sS -H "Authorization: Bearer $CLERK_SECRET_KEY" "$@"; }': "not run: a name for a request",
    "clerk $CLERK_API_URL/v1/users -d": f"{STAND_IN}/test_users.py",
    "clerk $CLERK_API_URL/v1/users/user_.../metadata -X PATCH -d": f"{STAND_IN}/test_users.py",
    "clerk $CLERK_API_URL/v1/users/user_.../ban -X POST": f"{STAND_IN}/test_users.py",
    "clerk $CLERK_API_URL/v1/users/user_... -X DELETE": f"{STAND_IN}/test_users.py",
    "clerk $CLERK_API_URL/stand-in/faults -d": f"{STAND_IN}/test_faults.py",
    "curl -H": REQUESTS,
    "curl -i -H": REQUESTS,
    "curl -X POST -H": REQUESTS,
    'kill -HUP "$SERVE_PID"': "tests/integration/faults/rotation/test_rotation.py",
    "npm init -y && npm pkg set type=module": NPM,
    "npm install --save-dev typescript @types/node": NPM,
    "npx tsc --init --types node": NPM,
    "npm install @anomalyze/auth": "not run: tests/integration/programs/typescript installs what `npm pack` makes",
    "pip install anomalyze-auth": "not run: it is installed from here; sdk/tests/test_package.py builds it",
    "pip install 'anomalyze-auth[kafka]'": "not run: the same, and its extra is in the lock file",
    "pip install 'anomalyze-auth[msk]'": "not run: the same",
    "pip install -e '.[test]' && pytest": "not run: `make test` runs these tests, from the lock file",
    "docker build --tag auth-service .": CONTAINERS,
    "docker compose up": CONTAINERS,
    "docker compose up --wait": CONTAINERS,
    "docker compose up --detach --no-deps relay": CONTAINERS,
    "docker compose build": CONTAINERS,
    "docker compose run --rm migrate": CONTAINERS,
    "docker compose exec": CONTAINERS,
    "TOKEN=$(docker compose exec -T serve auth-service token --user user_1)": CONTAINERS,
    "docker compose -f docker-compose.yml -f deploy/compose/secrets.yml up": CONTAINERS,
    "deploy/compose/rolling-restart": CONTAINERS,
    "kubectl -n auth": "not run: there is no cluster; what is applied is validated",
    "kubectl apply -k deploy/k8s/overlays/example-migration": KUBERNETES,
    "kubectl apply -k deploy/k8s/overlays/example": KUBERNETES,
}
"""What a command begins with → the file that runs it, or does the same; or why it is not run."""

NO_COMMANDS = {
    "docs/events.md": ('{"user": ', '{"session": '),
    "docs/frontend.md": ("GET /v1/me", '{"id": "user_…"'),
    "docs/users.md": ("user_2abc  version 2",),
    "docs/tracing.md": ("OTEL_EXPORTER_OTLP_ENDPOINT=", "POST /webhooks/clerk "),
    "README.md": ("            Clerk (webhooks, tokens)",),
}
"""By page, how blocks begin that are for the eye."""

BLOCKS = [
    block
    for block in shell_blocks()
    if not block.first.startswith(NO_COMMANDS.get(str(block.page), ("no block begins so",)))
]
COMMANDS = sorted({(str(block.page), command) for block in BLOCKS for command in block.commands})
OURS = re.compile(r"(?:.*\bdocker compose exec \S+ )?(?:\.venv/bin/)?auth-service (?P<arguments>.*)")
PROSE = sorted({text for _, text in spans()})


def auth_service(command: str) -> str | None:
    match = OURS.fullmatch(command)
    return match["arguments"] if match else None


def how_tested(command: str) -> str | None:
    """Return the file that runs it, or why none does; None: it was never entered."""
    if arguments := auth_service(command):
        words = arguments.split()
        return AUTH_SERVICE.get(" ".join(words[:2])) or AUTH_SERVICE.get(words[0])
    if match := re.fullmatch(r"make ([a-z-]+)(?: [A-Z_]+=\S+)*", command):
        return MAKE.get(match[1])
    beginnings = [beginning for beginning in OTHERS if command.startswith(beginning)]
    return OTHERS[max(beginnings, key=len)] if beginnings else None


@each_row(("page", "command"), COMMANDS)
def test_a_command_is_tested_or_says_why_not(page: str, command: str):
    how = how_tested(command)

    assert how, f"{page} has a new command: enter it in {Path(__file__).name}, with the test that runs it"
    assert how.startswith("not run") or (ROOT / how).exists(), how


@each_row("arguments", sorted({found for _, command in COMMANDS if (found := auth_service(command))}))
def test_the_command_line_takes_what_is_written(arguments: str):
    words = shlex.split(arguments)
    app_for(words).parse_args(words, print_error=False, exit_on_error=False)


@each_row("text", [text for text in PROSE if "auth-service" in text])
def test_a_command_in_running_text_exists_with_its_options(text: str):
    words = ["1" if word == "ID" else word for word in text.split()[1:] if word != "…"]
    # Running text may leave out whom or what; it must not name what does not exist.
    with suppress(MissingArgumentError):
        app_for(words).parse_args(words, print_error=False, exit_on_error=False)


def test_make_targets_in_running_text_exist():
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {text.split()[1] for text in PROSE if text.startswith("make ")}

    assert named <= targets
    assert set(MAKE) - {"help", "clean"} <= targets


def test_every_command_has_an_entry_that_names_a_file_in_which_it_is():
    absent = [
        command for command, file in AUTH_SERVICE.items() if f'"{command.split()[-1]}"' not in (ROOT / file).read_text()
    ]

    assert absent == []


def test_every_entry_is_still_needed():
    commands = [command for _, command in COMMANDS]
    needless = [beginning for beginning in OTHERS if not any(command.startswith(beginning) for command in commands)]

    assert needless == []
    blocks = [*shell_blocks()]
    for page, beginnings in NO_COMMANDS.items():
        for beginning in beginnings:
            assert any(str(block.page) == page and block.first.startswith(beginning) for block in blocks), beginning


def test_a_block_is_read_as_a_reader_would_type_it():
    block = Block(Path("x"), "$ make demo   # a minute\nauth-service demo\n$ auth-service users \\\n    list")

    assert block.commands == ["make demo", "auth-service users list"]
