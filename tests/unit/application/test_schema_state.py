from sdktest.rows import each_row

from application.doctor.schema_state import SchemaState, schema_state

KNOWN = ("0001", "0002", "0003")


@each_row(
    ("revisions", "has_tables", "state"),
    [
        ((), False, SchemaState.EMPTY),
        ((), True, SchemaState.EMPTY),
        (("0001",), True, SchemaState.BEHIND),
        (("0003",), True, SchemaState.CURRENT),
        (("0004",), True, SchemaState.NEWER),
        (("0003",), False, SchemaState.FOREIGN),
        (("0001",), False, SchemaState.FOREIGN),
        (("0004",), False, SchemaState.FOREIGN),
        (("0000",), True, SchemaState.FOREIGN),
        (("9",), True, SchemaState.FOREIGN),
        (("00004",), True, SchemaState.FOREIGN),
        (("ae1027a6acf",), True, SchemaState.FOREIGN),
        (("0003", "ae1027a6acf"), True, SchemaState.FOREIGN),
    ],
)
def test_a_revision_is_ours_only_beside_our_tables_and_newer_only_when_it_counts_on(revisions, has_tables, state):
    assert schema_state(revisions, KNOWN, has_tables=has_tables) is state
