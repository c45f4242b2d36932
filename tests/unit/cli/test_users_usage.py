"""What is wrong with a command line is told before anything is configured, let alone asked."""

import pytest
from sdktest.rows import each_row

from entrypoints.cli.main import main

WRONG: list[list[str]] = [
    [],
    ["ada"],
    ["user_a", "user_b"],
    ["user_a/.."],
    ["user_a", "--nonsense"],
    ["user_"],
    ["user_" + "a" * 200],
]


@each_row(("command", "words"), [(command, words) for command in ("history", "erased") for words in WRONG])
def test_history_and_erased_take_one_user(command, words):
    with pytest.raises(SystemExit) as ended:
        main(["users", command, *words])

    assert ended.value.code == 2
