"""A worker takes no more connections than it has descriptors for: the server would spin on the next one."""

import subprocess
import sys

import pytest

from entrypoints.cli.serve import CONNECTIONS, OTHER_DESCRIPTORS

ASK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, int(sys.argv[1])))
from entrypoints.cli.serve import _connections
print(_connections(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("hard", "connections"),
    [(1024, 1024 - OTHER_DESCRIPTORS), (CONNECTIONS + OTHER_DESCRIPTORS, CONNECTIONS), (20_000, CONNECTIONS)],
)
def test_as_many_as_the_hard_limit_leaves_after_asking_for_all_of_it(hard, connections):
    asked = subprocess.run(
        [sys.executable, "-c", ASK, str(hard)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )

    assert asked.stdout.splitlines()[-1].split() == [str(connections), str(hard)]
