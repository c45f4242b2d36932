"""Does the demo see what is wrong? Each result of the service is bent in turn, and the steps have to say so."""

import io
import json

import pytest
from attrs import evolve
from rich.console import Console

from devkit.demo.life import PRIVATE, Life
from devkit.demo.screen import Scene, print_summary
from devkit.demo.steps import STEPS
from support.demo_stage import FakeStage


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=120, highlight=False)


async def play(stage, console):
    life = Life(stage)
    scenes = []
    for number, step in enumerate(STEPS, start=1):
        scenes.append(Scene(number, step.title, console))
        scenes[-1].open(step.why)
        await step.play(life, scenes[-1])
        scenes[-1].close(0.01)
    return scenes


def changed_value(event, **fields):
    document = json.loads(event.value)
    document["user"] |= fields
    return evolve(event, value=json.dumps(document).encode())


def without(header):
    return lambda event: evolve(event, headers={n: v for n, v in event.headers.items() if n != header})


async def test_a_service_that_is_right_passes_every_check(console):
    scenes = await play(FakeStage(), console)

    assert [scene.differences for scene in scenes] == [[] for _ in STEPS]
    assert "DIFFERS" not in console.file.getvalue()


@pytest.mark.parametrize(
    ("bent", "complaint"),
    [
        ({"bend_answer": lambda answer: evolve(answer, status=500)}, "answer.status: expected 200, was 500"),
        ({"bend_answer": lambda answer: evolve(answer, body={"outcome": "created"})}, "answer.body.outcome: expected"),
        ({"bend_answer": lambda answer: evolve(answer, headers={})}, "answer.etag: expected a strong ETag, was null"),
        ({"bend_answer": lambda answer: evolve(answer, body=None)}, "answer.code: expected"),
        ({"bend_row": lambda row: None}, "row.id: expected"),
        ({"bend_row": lambda row: row and {**row, "version": row["version"] + 1}}, "row.version: expected 1, was 2"),
        ({"bend_row": lambda row: row and {**row, "username": PRIVATE}}, "row holds private metadata: expected false"),
        ({"bend_row": lambda row: row and {**row, "last_ip": "127.0.0.1"}}, "row.last_ip: expected absent"),
        ({"bend_row": lambda row: row and {**row, "phone": "+1"}}, 'row.phone: expected null, was "+1"'),
        ({"bend_event": without("ce_sequence")}, "event.headers.ce_sequence: expected"),
        ({"bend_event": lambda event: evolve(event, key=b"user_other")}, "event.key: expected"),
        ({"bend_event": lambda event: evolve(event, value=None)}, "event.data: expected"),
        ({"bend_event": lambda event: changed_value(event, version=7)}, "event.data.user.version: expected 1, was 7"),
        ({"bend_event": lambda event: changed_value(event, note=PRIVATE)}, "event holds private metadata"),
        ({"bend_event": lambda event: evolve(event, partition=event.offset)}, "partitions: expected 1, was 3"),
        ({"bend_session_event": without("ce_subject")}, "event.headers.ce_subject: expected"),
        ({"bend_session_event": lambda event: evolve(event, value=b"{}")}, "event.data.session: expected"),
        ({"more_events": 1}, "events in the topic: expected 1, was 2"),
    ],
)
async def test_a_result_that_is_not_as_it_should_be_is_shown(console, bent, complaint):
    scenes = await play(FakeStage(**bent), console)

    assert any(line.startswith(complaint) for scene in scenes for line in scene.differences)
    shown = " ".join(console.file.getvalue().split())
    assert f"✗ DIFFERS {complaint}" in shown


async def test_the_summary_names_the_step_that_differs(console, capsys):
    scenes = await play(FakeStage(bend_row=lambda row: row and {**row, "username": "eve"}), console)
    print_summary(scenes)

    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "Sign-up" in line and "differs" in line]
    assert [line for line in lines if "GET /v1/me" in line and "ok" in line]
