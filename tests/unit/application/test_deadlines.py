"""Many waits share one timer, and each ends at its own time."""

import asyncio

from application.deadlines import Deadlines


async def test_what_is_not_removed_is_called_in_time_and_once():
    deadlines, called = Deadlines(), []
    began = asyncio.get_running_loop().time()
    for name, seconds in (("late", 0.06), ("early", 0.02), ("removed", 0.03)):
        expires = lambda name=name: called.append((name, asyncio.get_running_loop().time() - began))  # noqa: E731
        deadlines.add(expires, seconds)
    deadlines.remove(expires)
    await asyncio.sleep(0.15)

    assert [name for name, _ in called] == ["early", "late"]
    assert all(after_s >= due_s for (_, after_s), due_s in zip(called, (0.02, 0.06), strict=True))


async def test_one_that_comes_after_all_others_were_removed_is_called_too():
    deadlines, called = Deadlines(), []
    for _ in range(3):
        deadlines.add(called.clear, 0.02)
        deadlines.remove(called.clear)
        await asyncio.sleep(0.01)
    deadlines.add(lambda: called.append("called"), 0.02)
    await asyncio.sleep(0.1)

    assert called == ["called"]


def test_a_loop_that_ended_leaves_no_timer_that_others_would_wait_for():
    deadlines, called = Deadlines(), []

    async def add(seconds: float) -> None:
        deadlines.add(lambda: called.append(seconds), seconds)
        await asyncio.sleep(0.05)

    asyncio.run(add(60.0))
    deadlines.remove(next(iter(deadlines._ends)))
    asyncio.run(add(0.01))

    assert called == [0.01]
