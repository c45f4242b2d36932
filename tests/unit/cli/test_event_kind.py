from adapters.kafka.cloudevents import TYPES
from application.relay.messages import kind_of
from entrypoints.cli.event_kind import kind_text


def test_each_kind_of_event_has_a_colour():
    assert {kind_of(name): bool(kind_text(kind_of(name)).style) for name in TYPES.values()} == {
        "created": True,
        "updated": True,
        "deleted": True,
        "revoked": True,
    }


def test_another_kind_is_shown_as_it_is_without_what_steers_a_terminal():
    text = kind_text("x\x1b[2J", 8)

    assert (text.plain, text.style) == ("x?[2J   ", "")
