from __future__ import annotations

import json
from pathlib import Path

import pytest

from swarm_exporter.launcher.login import restore_login, save_login


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "temp-data"
    folder.mkdir()
    return [str(folder / "userData.json"), str(folder / "userApiKey.json")]


@pytest.fixture
def store(tmp_path):
    return tmp_path / "saved"


def write(path, text):
    with open(path, "w") as file:  # noqa: PTH123
        file.write(text)


def test_whole_files_are_saved_once_and_put_back(files, store):
    write(files[0], '{"a": 1}')
    write(files[1], '{"key": "secret"}')
    assert save_login(files, store) == ["userData.json", "userApiKey.json"]
    assert save_login(files, store) == []
    assert restore_login(files, store) == []
    for path in store.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    assert store.stat().st_mode & 0o777 == 0o700
    import os

    os.unlink(files[0])  # noqa: PTH108
    assert restore_login(files, store) == ["userData.json"]
    with open(files[0]) as file:  # noqa: PTH123
        assert file.read() == '{"a": 1}'


@pytest.mark.parametrize("half", ["", "{", '{"a": 1', "[]", "{}", "null", "\xff"])
def test_what_is_not_whole_neither_replaces_a_saved_file_nor_stays(files, store, half):
    write(files[0], '{"a": 1}')
    save_login(files, store)
    write(files[0], half)
    assert save_login(files, store) == []
    assert restore_login(files, store) == ["userData.json"]
    with open(files[0]) as file:  # noqa: PTH123
        assert file.read() == '{"a": 1}'


def test_a_newer_whole_file_is_left_alone(files, store):
    write(files[0], '{"a": 1}')
    save_login(files, store)
    write(files[0], '{"b": 2}')
    assert restore_login(files, store) == []
    assert save_login(files, store) == ["userData.json"]


def test_nothing_saved_is_nothing_put_back(files, store):
    assert restore_login(files, store) == []
    assert save_login(files, store) == []
    assert not store.exists()


def test_files_of_the_same_name_are_kept_apart(tmp_path, store):
    files = [str(tmp_path / place / "data.json") for place in "ab"]
    for place, path in zip("ab", files, strict=True):
        (tmp_path / place).mkdir()
        write(path, f'{{"{place}": 1}}')
    save_login(files, store)
    for path in files:
        write(path, "")
    restore_login(files, store)
    with open(files[1]) as file:  # noqa: PTH123
        assert file.read() == '{"b": 1}'


def write_json(path: Path, content: object) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return str(path)


def test_login_data_of_one_folder_never_reach_another(tmp_path):
    store = tmp_path / "store"
    first = write_json(tmp_path / "a" / "temp-data" / "userData.json", {"org": "first"})
    second = str(tmp_path / "b" / "temp-data" / "userData.json")
    assert save_login([first], store) == ["userData.json"]
    # The node of this name lives in another folder now, where nobody has logged in yet.
    assert restore_login([second], store) == []
    assert not Path(second).exists()
    write_json(Path(second), {"org": "second"})
    assert save_login([second], store) == ["userData.json"]
    Path(first).unlink()
    assert restore_login([first], store) == ["userData.json"]
    assert json.loads(Path(first).read_text()) == {"org": "first"}


def test_what_is_saved_is_for_nobody_else_to_read(tmp_path):
    name = write_json(tmp_path / "a" / "userApiKey.json", {"org": [{"privateKey": "x"}]})
    save_login([name], tmp_path / "store")
    (saved,) = (path for path in (tmp_path / "store").rglob("*") if path.is_file())
    assert saved.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "store").stat().st_mode & 0o077 == 0
