import pytest
from sdktest.rows import each_row

from devkit.demo.differences import ANY_TAG, ANY_UUID, differences

SAME = {"id": "a", "flags": [True, None, {"n": 1.5}]}


def test_equal_documents_have_none():
    assert differences(SAME, {"flags": [True, None, {"n": 1.5}], "id": "a"}, at="row") == []


@each_row(
    ("actual", "line"),
    [
        ({**SAME, "id": "b"}, 'row.id: expected "a", was "b"'),
        ({"flags": SAME["flags"]}, 'row.id: expected "a", was absent'),
        ({**SAME, "id": None}, 'row.id: expected "a", was null'),
        ({**SAME, "note": 1}, "row.note: expected absent, was 1"),
        ({**SAME, "flags": [True, None, {"n": 2}]}, "row.flags[2].n: expected 1.5, was 2"),
        ({**SAME, "flags": [1, None, {"n": 1.5}]}, "row.flags[0]: expected true, was 1"),
        ({**SAME, "flags": []}, 'row.flags: expected [true, null, {"n": 1.5}], was []'),
    ],
)
def test_each_place_that_differs_is_named(actual, line):
    assert differences(SAME, actual, at="row") == [line]


def test_an_absent_document_differs():
    assert differences(SAME, None, at="row") == [
        'row: expected {"id": "a", "flags": [true, null, {"n": 1.5}]}, was null'
    ]


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        (ANY_UUID, "f9f1f844-2b1b-5029-bd9b-66ecb10dea78", "f9f1f844"),
        (ANY_TAG, '"1-abc"', 'W/"1-abc"'),
        (ANY_TAG, '"1-abc"', None),
    ],
)
def test_a_form_accepts_any_text_of_it_and_nothing_else(form, good, bad):
    assert differences(form, good, at="x") == []
    assert len(differences(form, bad, at="x")) == 1
