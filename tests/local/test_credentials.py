import base64
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from noria.core.base.errors import StackError
from noria.local.credentials import load_credentials
from noria.local.environment import settings_lines, write_settings
from noria.settings import load_settings


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_made_once_and_only_their_owner_reads_them(tmp_path):
    first = load_credentials(tmp_path)
    assert load_credentials(tmp_path) == first
    assert mode(tmp_path / "secrets.json") == 0o600
    assert len(first.airflow_jwt_secret) >= 64
    assert len(base64.urlsafe_b64decode(first.airflow_fernet_key)) == 32
    assert [path.name for path in tmp_path.iterdir()] == ["secrets.json"]


def test_two_stacks_have_different_secrets(tmp_path):
    assert load_credentials(tmp_path / "a") != load_credentials(tmp_path / "b")


def test_many_at_once_end_with_the_same_secrets(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(load_credentials, [tmp_path] * 16))
    assert len(found) == 16
    assert all(one == found[0] for one in found)


def test_secrets_are_not_shown(tmp_path):
    credentials = load_credentials(tmp_path)
    assert credentials.pseudonym_key not in repr(credentials)


def test_a_damaged_file_says_what_to_do(tmp_path):
    (tmp_path / "secrets.json").write_text("{")
    with pytest.raises(StackError, match="restore it"):
        load_credentials(tmp_path)


def test_the_settings_file_keeps_lines_of_the_user(tmp_path, ports, monkeypatch):
    for name in ports.variables():
        monkeypatch.delenv(name, raising=False)
    credentials = load_credentials(tmp_path)
    write_settings(tmp_path, settings_lines(ports, credentials, "postgresql://one"))
    file = tmp_path / "noria.env"
    file.write_text(file.read_text() + "NORIA_MAIL_FROM=me@example.com\n")
    write_settings(tmp_path, settings_lines(ports, credentials, "postgresql://two"))
    monkeypatch.setenv("NORIA_HOME", str(tmp_path))
    settings = load_settings()
    assert mode(file) == 0o600
    assert settings.mail_from == "me@example.com"
    assert settings.warehouse_url.get_secret_value() == "postgresql://two"
    assert settings.airflow_port == ports.airflow
    assert file.read_text().count("NORIA_WAREHOUSE_URL") == 1
