"""`auth-service demo` that keeps, in a folder, what it throws away: what the processes wrote, and what they were told.

python -m support.kept_demo FOLDER
"""

import json
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

from devkit.commands import demo
from devkit.demo import stage
from devkit.demo.stage import Stage
from devkit.local.process import ServiceProcess
from devkit.servers.stack import EmbeddedStack, embedded_stack
from entrypoints.cli.main import main
from entrypoints.config.loading import load

SERVERS = ("postgres", "kafka")


def keep(folder: Path) -> None:
    """Have the demo keep `services`, `metrics`, `postgres` and `kafka`; and `environment`, `tokens`, `private-key`."""
    log = (folder / "services").open("w", buffering=1)
    demo_folder = Path()
    tokens: list[str] = []
    play, mint = demo._play, Stage.token

    def start_and_note(data_dir: Path, **how: Any) -> AbstractAsyncContextManager[EmbeddedStack]:
        nonlocal demo_folder
        demo_folder = data_dir
        return embedded_stack(data_dir, **how)

    def load_and_keep(settings: type[Any], *, environment: dict[str, str], env_file: Path) -> Any:
        (folder / "environment").write_text(json.dumps(environment))
        return load(settings, environment=environment, env_file=env_file)

    def mint_and_note(of: Stage, user_id: str, **how: Any) -> str:
        tokens.append(mint(of, user_id, **how))
        return tokens[-1]

    async def play_and_keep(of: Stage, *more: Any) -> None:
        await play(of, *more)
        kept = {
            "metrics": (await of.http.get("/metrics")).text,
            "tokens": "\n".join(tokens),
            "private-key": of.keys.private_key,
            **{name: (demo_folder / name / "server.log").read_text(errors="replace") for name in SERVERS},
        }
        for name, text in kept.items():
            (folder / name).write_text(text)

    changed: list[tuple[object, str, Callable[..., Any]]] = [
        (stage, "embedded_stack", start_and_note),
        (stage, "load", load_and_keep),
        (stage, "ServiceProcess", partial(ServiceProcess, on_line=lambda line: print(line, file=log))),
        (Stage, "token", mint_and_note),
        (demo, "_play", play_and_keep),
    ]
    for owner, name, value in changed:
        setattr(owner, name, value)


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
    main(["demo"])
