"""The four proxies as real processes, each with its file from deploy/proxies on free ports."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from devkit.servers.ports import free_port

CONFIGURATIONS = {"nginx": "nginx.conf", "caddy": "Caddyfile", "traefik": "traefik-dynamic.yaml", "envoy": "envoy.yaml"}
CACHING = "nginx-cached-verdicts"
_FILES = {**CONFIGURATIONS, CACHING: f"{CACHING}.conf"}
_FOLDER = Path(__file__).parents[2] / "deploy" / "proxies"
_START_S = 30

_NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {file};
}}
"""


def program(name: str) -> str:
    """Return the path of a proxy; Debian's packages put some where only root's PATH leads."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin"])
    found = shutil.which(name, path=places)
    assert found, f"{name} is not installed; .ci/run says how to get it"
    return found


def configuration(
    name: str, folder: Path, *, here: int, service: int, application: int, active: bool = True, in_person: bool = False
) -> Path:
    """Write the committed configuration with other ports; without `active`, and `in_person`, as its comments say."""
    text = (_FOLDER / _FILES[name]).read_text().replace("/dev/shm", str(folder))
    for port, replacement in {8080: here, 3002: service, 8000: application}.items():
        text, found = re.subn(rf"\b{port}\b", str(replacement), text)
        assert found, f"{port} is not in {_FILES[name]}"
    if not active:
        text = text.replace("path_prefix: /v1/verify?active=true&path=", "path_prefix: /v1/ext-authz")
        text = re.sub(r"(/v1/verify)\?active=true\b", r"\1", text)
    if in_person:
        text, found = re.subn(r"(/v1/verify\?(?:active|cacheable)=true)(?=[;&\s])", r"\1&in_person=true", text)
        assert found == 1
    file = folder / _FILES[name]
    file.write_text(text)
    return file


@contextmanager
def proxy(name: str, folder: Path, *, service: int, application: int, **checks: bool) -> Iterator[str]:
    """Run a proxy in front of `application`, which asks `service` (both are ports); yield its URL."""
    here = free_port()
    file = configuration(name, folder, here=here, service=service, application=application, **checks)
    output = folder / "output.log"
    with output.open("wb") as log:
        process = subprocess.Popen(
            command(name, folder, file, here),
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"http://127.0.0.1:{here}"
        _wait_until_it_decides(process, url, output)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def command(name: str, folder: Path, file: Path, port: int) -> list[str]:
    """Return how to run a proxy with this file, in the foreground; `port` is where the file has it listen."""
    match name:
        case "nginx" | "nginx-cached-verdicts":
            main = folder / "main.conf"
            main.write_text(_NGINX.format(folder=folder, file=file))
            arguments = ["-p", str(folder), "-c", str(main)]
        case "caddy":
            file.write_text("{\n\tadmin off\n}\n" + file.read_text())  # its admin port is the same for everybody
            arguments = ["run", "--adapter=caddyfile", f"--config={file}"]
        case "traefik":
            arguments = [f"--entrypoints.web.address=127.0.0.1:{port}", f"--providers.file.filename={file}"]
            arguments += ["--global.checknewversion=false", "--global.sendanonymoususage=false"]
        case _:
            arguments = ["-c", str(file), "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]
    return [program(name.partition("-")[0]), *arguments]


def _wait_until_it_decides(process: "subprocess.Popen[bytes]", url: str, output: Path) -> None:
    """A proxy may listen before it has its routes: then it answers 404."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(httpx.TransportError):
            if httpx.get(url, timeout=5).status_code != httpx.codes.NOT_FOUND:
                return
        time.sleep(0.05)
    raise AssertionError(output.read_text(errors="replace"))
