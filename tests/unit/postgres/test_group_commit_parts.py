"""A batch whose changes go to several servers: each part has its own fate."""

import asyncio

import pytest

from adapters.postgres.group_commit import GroupCommit
from application.errors import StoreUnavailableError


async def by_first_letter(batch):
    return [[change for change in batch if change.key[0] == letter] for letter in sorted({c.key[0] for c in batch})]


async def started(attempt) -> GroupCommit[str, int, int]:
    commits: GroupCommit[str, int, int] = GroupCommit(attempt, name="tests", parts=by_first_letter)
    commits.start()
    return commits


async def test_parts_are_attempted_side_by_side():
    both = asyncio.Barrier(2)
    sizes = []

    async def attempt(batch):
        sizes.append(len(batch))
        await asyncio.wait_for(both.wait(), 5)
        for change in batch:
            change.answer.give(change.decide(1))

    commits = await started(attempt)
    answers = await asyncio.gather(*(commits.change(key, lambda n: n + 1) for key in ("a1", "a2", "b1")))
    await commits.aclose()

    assert answers == [2, 2, 2]
    assert sorted(sizes) == [1, 2]


@pytest.mark.parametrize("error", [OSError("that server is away"), ZeroDivisionError()])
async def test_a_part_that_fails_takes_no_other_with_it(error):
    async def attempt(batch):
        if batch[0].key[0] == "a":
            raise error
        await asyncio.sleep(0.01)  # the other has failed by now
        for change in batch:
            change.answer.give(change.decide(1))

    commits = await started(attempt)
    failed, well = await asyncio.gather(
        *(commits.change(key, lambda n: n + 1) for key in ("a1", "b1")), return_exceptions=True
    )
    again = await commits.change("b2", lambda n: n)
    await commits.aclose()

    assert isinstance(failed, StoreUnavailableError if isinstance(error, OSError) else ZeroDivisionError)
    assert (well, again) == (2, 1)
