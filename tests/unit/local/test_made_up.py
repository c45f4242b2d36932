"""What was made up for development is used alone, or not at all."""

import pytest
from sdktest.rows import each_row

from entrypoints.config.made_up import INSTANCE, NOTE, instance_names, under
from entrypoints.config.sources import found_variables

MADE_UP = {
    "CLERK_WEBHOOK_SECRET": "whsec_made_up",
    "CLERK_JWT_KEY": "-----BEGIN-----\\nmade up\\n-----END-----",
    "CLERK_ISSUER": "http://127.0.0.1:3004",
    "CLERK_SECRET_KEY": "sk_test_made_up",
    "CLERK_API_URL": "http://127.0.0.1:3004",
    "CLERK_AUTHORIZED_PARTIES": "http://localhost:3003",
}
ANY = sorted(INSTANCE | {f"{name}_FILE" for name in ("CLERK_SECRET_KEY", "CLERK_JWT_KEY", "CLERK_WEBHOOK_SECRET")})


def test_what_is_made_up_serves_where_nothing_is_configured():
    assert under({}, MADE_UP) == MADE_UP


@each_row("variable", ANY)
def test_one_variable_of_a_clerk_instance_leaves_out_everything_made_up(variable):
    configured = {variable: "of an instance"}

    assert under(configured, MADE_UP) == configured
    assert instance_names(configured, MADE_UP) == [variable]


def test_origins_of_a_frontend_are_no_instance():
    configured = {"CLERK_AUTHORIZED_PARTIES": "http://localhost:5173"}

    assert under(configured, MADE_UP) == {**MADE_UP, **configured}


def test_made_up_values_that_came_back_through_a_shell_are_still_made_up():
    configured = {name: value.replace("\\n", "\n") for name, value in MADE_UP.items()}

    assert instance_names(configured, MADE_UP) == []
    assert under(configured, MADE_UP) == configured


@pytest.mark.parametrize("variable", ANY)
def test_a_file_of_dev_keys_says_nothing_of_clerk_beside_an_instance_in_the_environment(tmp_path, variable):
    file = tmp_path / ".env"
    lines = "".join(f'{name}="{value}"\n' for name, value in MADE_UP.items())
    file.write_text(f"{NOTE}{lines}PORT=4000\n")

    assert set(found_variables({variable: "of an instance"}, file)) == {variable, "PORT"}
    assert set(found_variables({"PORT": "1"}, file)) == {*MADE_UP, "PORT"}
    file.write_text(lines)  # of somebody's own: it says what it says
    beside = found_variables({variable: "of an instance"}, file)
    assert set(beside) == {*MADE_UP, variable} - {variable.removesuffix("_FILE")} | {variable}
