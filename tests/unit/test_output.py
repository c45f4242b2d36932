"""Tables: whatever is in them comes out whole."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from application.counting import counted
from entrypoints.cli import output
from entrypoints.cli.terminal import console_for_stdout

BOX = re.compile("[\u2500-\u257f\u2026]")
WORDS = st.text(st.sampled_from("abz-_.@/日é"), min_size=1, max_size=150)
SENTENCES = st.lists(WORDS, max_size=12).map(" ".join)
ROWS = st.lists(st.tuples(WORDS, WORDS, SENTENCES, SENTENCES), max_size=5)
COLUMNS = ("id", "email", "finding", "what to do")


@pytest.fixture
def shown(capsys, monkeypatch):
    """Print a table, on a terminal of so many columns or, without one, piped; return the lines."""

    def show(rows, *, columns=COLUMNS, prose=(), width=None):
        monkeypatch.setattr(output, "on_terminal", lambda: width is not None)
        if width is not None:
            monkeypatch.setenv("COLUMNS", str(width))
        capsys.readouterr()
        output.print_table(columns, rows, prose=prose)
        return capsys.readouterr().out.splitlines()

    return show


@given(rows=ROWS, width=st.integers(1, 300))
def test_on_a_terminal_no_value_is_cut_and_no_word_is_broken(shown, rows, width):
    lines = shown(rows, prose={"finding", "what to do"}, width=width)
    text = "\n".join(lines)

    assert not BOX.search(text)
    for identity, email, *sentences in rows:
        assert identity in text
        assert email in text
        for word in " ".join(sentences).split():
            assert word in text
    if rows:
        assert all(name in text for name, cell in zip(COLUMNS, rows[0], strict=True) if cell)


@given(rows=ROWS)
def test_piped_it_is_one_line_a_row_with_a_cell_for_each_name(shown, rows):
    lines = shown(rows, prose={"finding"})

    assert [line.split("\t") for line in lines] == [[*COLUMNS], *map(list, rows)]


def test_where_it_fits_the_columns_stand_below_each_other(shown):
    assert shown([("user_a", "ada@example.org", "", "x"), ("user_bb", "", "sorry", "")], width=80) == [
        "id       email            finding  what to do",
        "user_a   ada@example.org           x",
        "user_bb                   sorry",
    ]


def test_where_it_does_not_fit_each_row_is_a_block_and_its_id_a_line(shown):
    long = "user_" + "x" * 123

    assert shown([(long, "a@b.example", "", "x"), ("user_b", "", "", "")], width=40) == [
        "id",
        long,
        "email       a@b.example",
        "what to do  x",
        "",
        "id          user_b",
    ]


def test_sentences_are_wrapped_between_words_only(shown):
    example = "DATABASE_URL=postgresql://auth:secret@localhost:5432/auth"
    lines = shown(
        [("database", f"it is missing, for example {example}")],
        columns=("check", "finding"),
        prose={"finding"},
        width=70,
    )

    assert lines == ["check     finding", "database  it is missing, for example", f"          {example}"]
    assert all(len(line) <= 70 for line in lines)


def test_what_steers_a_terminal_or_would_begin_a_cell_or_a_line_is_replaced(shown):
    nasty = "a\x1b[2Jb\tc\nd\re\u202ef"

    assert shown([(nasty, Text("\x1b[1mx", "red"), "", "")]) == ["\t".join(COLUMNS), "a?[2Jb c d e?f\t?[1mx\t\t"]
    assert "a?[2Jb c d e?f" in "\n".join(shown([(nasty, "", "", "")], width=80))


@pytest.mark.parametrize(
    ("number", "says"), [(0, "0 users"), (1, "1 user"), (2, "2 users"), (1200, "1,200 users"), (-1, "-1 users")]
)
def test_a_number_agrees_with_its_noun(number, says):
    assert counted(number, "user") == says


def test_a_plural_that_is_not_formed_by_an_s_is_given():
    assert [counted(number, "copy", "copies") for number in (1, 3)] == ["1 copy", "3 copies"]


def test_what_looks_like_markup_is_printed_as_it_is(capsys):
    text = "[/closing] dict[str, bold] :warning:"
    console_for_stdout().print(text)

    assert capsys.readouterr().out == f"{text}\n"
