"""How long a rejection waits, by a clock that the test moves."""

import pytest

from entrypoints.http.rejection_throttle import BURST_S, LONGEST_S, PER_SECOND, RejectionThrottle


class Watch:
    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def pace(watch: Watch) -> RejectionThrottle:
    return RejectionThrottle(watch, watch.sleep)


async def test_rejections_within_the_burst_do_not_wait(pace, watch):
    for _ in range(int(PER_SECOND * BURST_S)):
        await pace.turn()

    assert watch.waits == []


async def test_a_steady_flow_at_the_pace_never_waits(pace, watch):
    for _ in range(2000):
        watch.now += 1 / PER_SECOND + 1e-9
        await pace.turn()

    assert watch.waits == []


async def test_a_flood_waits_its_turn_and_no_longer_than_the_longest(pace, watch):
    for _ in range(int(PER_SECOND * BURST_S) + 100):
        await pace.turn()

    assert watch.waits[0] == pytest.approx(1 / PER_SECOND)
    assert watch.waits == sorted(watch.waits)
    assert watch.waits[-1] == pytest.approx(LONGEST_S)


async def test_after_a_flood_the_next_rejection_does_not_wait(pace, watch):
    for _ in range(10_000):
        await pace.turn()
    watch.waits.clear()
    watch.now += 2 * LONGEST_S
    await pace.turn()

    assert watch.waits == []
