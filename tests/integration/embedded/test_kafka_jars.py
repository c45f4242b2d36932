import hashlib
import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import attrs
import pytest

from devkit.servers.errors import EmbeddedStackError
from devkit.servers.kafka_jars import kafka_jars


@attrs.frozen
class Repository:
    """A Maven repository on loopback that serves the machine's own jars and counts what is asked for."""

    url: str
    served: Counter[str]
    forged: set[str]


@pytest.fixture
def repository(monkeypatch, tmp_path):
    jars = {path.name: path for path in kafka_jars()}
    served: Counter[str] = Counter()
    forged: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.rsplit("/", 1)[1]
            if name not in jars:
                self.send_error(404)
                return
            served[name] += 1
            body = b"forged" if name in forged else jars[name].read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    (tmp_path / "jgo.conf").write_text(f"[repositories]\nloopback = {url}\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(tmp_path / "jgo.conf"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cache = tmp_path / "cache" / "auth-service" / "kafka-jars"
    cache.mkdir(parents=True)
    for path in jars.values():
        shutil.copy(path, cache)
    yield Repository(url, served, forged)
    server.shutdown()
    thread.join()
    server.server_close()


def digests(paths):
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def test_what_is_missing_or_damaged_is_downloaded_and_nothing_else(repository):
    before = kafka_jars()
    whole = digests(before)
    before[3].unlink()
    before[7].write_bytes(before[7].read_bytes()[:1000])
    leftover = before[0].parent / "arriving" / "from-a-process-that-died"
    leftover.mkdir(parents=True)
    lines = []

    after = kafka_jars(lines.append)

    assert repository.served == {before[3].name: 1, before[7].name: 1}
    assert digests(after) == whole
    assert not leftover.exists()
    assert lines[0].startswith("Kafka: downloading 2 jars")
    assert lines[-1].startswith("Kafka: 2 of 2 jars")


def test_a_jar_that_is_not_the_pinned_one_is_refused(repository):
    jar = kafka_jars()[3]
    jar.unlink()
    repository.forged.add(jar.name)

    with pytest.raises(EmbeddedStackError, match=r"not the file that kafka-jars.lock pins"):
        kafka_jars()

    assert not jar.exists()


def test_two_processes_share_one_download(repository):
    jars = kafka_jars()
    for jar in jars[:5]:
        jar.unlink()

    program = "from devkit.servers.kafka_jars import kafka_jars; kafka_jars()"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    both = [subprocess.Popen([sys.executable, "-c", program], env=environment) for _ in range(2)]

    assert [process.wait(60) for process in both] == [0, 0]
    assert repository.served == {jar.name: 1 for jar in jars[:5]}


def test_a_cache_that_cannot_be_written_is_named(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    with pytest.raises(EmbeddedStackError, match=r"cannot be kept in .*\n.*XDG_CACHE_HOME"):
        kafka_jars()
