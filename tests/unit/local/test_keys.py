import stat

import pytest

from anomalyze_auth import PemKey
from devkit.local.keys import keys_kept_in, new_keys, public_half, secret_key_kept_in
from entrypoints.config.clerk_values import secret_key, webhook_secret


def test_the_keys_of_a_folder_stay_the_same_and_are_their_owners_alone(tmp_path):
    first = keys_kept_in(tmp_path)
    second = keys_kept_in(tmp_path)

    assert first == second
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}


def test_the_service_accepts_them_as_configuration():
    environment = new_keys().environment

    assert webhook_secret(environment["CLERK_WEBHOOK_SECRET"])
    assert PemKey(environment["CLERK_JWT_KEY"])
    assert not any("\n" in value for value in environment.values())


def test_no_two_folders_share_keys(tmp_path):
    (tmp_path / "other").mkdir()

    one, other = keys_kept_in(tmp_path), keys_kept_in(tmp_path / "other")

    assert one.webhook_secret != other.webhook_secret
    assert one.private_key != other.private_key


def test_they_do_not_show_themselves():
    keys = new_keys()

    assert keys.webhook_secret not in repr(keys)
    assert "PRIVATE" not in repr(keys)


def test_what_is_no_private_key_has_no_public_half():
    with pytest.raises(ValueError, match=r"PEM|key"):
        public_half("-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----")


def test_the_stand_ins_key_stays_the_same_is_its_owners_alone_and_is_accepted(tmp_path):
    first = secret_key_kept_in(tmp_path)

    assert secret_key_kept_in(tmp_path) == first == secret_key(first)
    assert [stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()] == [0o600]
