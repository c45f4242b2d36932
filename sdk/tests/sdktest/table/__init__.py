"""The table of tokens: what each is, and what must come of it."""

from sdktest.table.case import ACCEPTED, Case
from sdktest.table.inside import genuine, insides
from sdktest.table.outside import outsides

__all__ = ["ACCEPTED", "Case", "cases"]


def cases() -> list[Case]:
    made = [*genuine(), *outsides(), *insides()]
    assert len({case.name for case in made}) == len(made)
    return made
