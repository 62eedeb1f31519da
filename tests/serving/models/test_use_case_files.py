"""A mistake in one use case's file touches no other, and not those who are answered now."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from noria.core.base.errors import UseCaseError
from noria.testing.builders import write_use_case
from serving.app import create_app
from serving.models.use_case_files import UseCaseFiles


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("letters", "parcels"):
        write_use_case(tmp_path / "use_cases", name=name)
    return tmp_path / "use_cases"


@pytest.fixture
def files(root: Path, tmp_path: Path) -> UseCaseFiles:
    return UseCaseFiles(root, tmp_path / "kept")


def titles(files: UseCaseFiles) -> dict[str, str]:
    return {name: use_case.title for name, use_case in files.read().items()}


def test_read_mistake_in_one_keeps_the_others_and_their_edits(root: Path, files: UseCaseFiles) -> None:
    files.read()
    assert not files.changed
    write_use_case(root, name="letters", title="Edited wrongly", owner="nobody")
    write_use_case(root, name="parcels", title="Edited well")
    assert files.changed
    assert titles(files) == {"letters": "Warn customers of a late parcel", "parcels": "Edited well"}
    assert list(files.mistakes) == ["letters"]
    mistake = files.mistakes["letters"]
    assert mistake.startswith("it is answered as it was written before, for its file has a mistake: use_cases/letters/")
    assert "owner" in mistake
    assert not files.changed
    write_use_case(root, name="letters", title="Mended")
    assert titles(files)["letters"] == "Mended"
    assert dict(files.mistakes) == {}


@pytest.mark.parametrize("content", ["", "name: [", "name: letters\nowner: \n", None])
def test_read_after_a_restart_mistake_keeps_the_last_valid_file(
    root: Path, files: UseCaseFiles, tmp_path: Path, content: str | None
) -> None:
    before = titles(files)
    path = root / "letters" / "use_case.yaml"
    path.unlink()
    if content is None:
        path.mkdir()
    else:
        path.write_text(content, encoding="utf-8")
    again = UseCaseFiles(root, tmp_path / "kept")
    assert titles(again) == before
    assert list(again.mistakes) == ["letters"]


def test_read_use_case_that_was_never_valid_is_not_served(root: Path, files: UseCaseFiles) -> None:
    write_use_case(root, name="bills", owner="nobody")
    assert sorted(titles(files)) == ["letters", "parcels"]
    assert files.mistakes["bills"].startswith("it is not served, for its file has a mistake: ")


def test_use_case_removed_does_not_come_back(root: Path, files: UseCaseFiles) -> None:
    files.read()
    (root / "letters" / "use_case.yaml").unlink()
    assert sorted(titles(files)) == ["parcels"]
    assert dict(files.mistakes) == {}


def test_read_no_valid_file_lists_every_problem(root: Path, files: UseCaseFiles) -> None:
    for name in ("letters", "parcels"):
        write_use_case(root, name=name, owner="nobody")
    with pytest.raises(UseCaseError) as caught:
        files.read()
    assert [problem.where.split("/")[1] for problem in caught.value.problems] == ["letters", "parcels"]


def test_a_folder_that_cannot_be_written_is_no_reason_not_to_serve(root: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file stands in the way", encoding="utf-8")
    assert sorted(titles(UseCaseFiles(root, tmp_path / "kept"))) == ["letters", "parcels"]


def test_mistake_in_a_file_keeps_answers_and_warns_in_readyz(settings, use_cases) -> None:
    write_use_case(use_cases, name="letters")
    body = {"instances": [{"hour": 19}]}

    def asked(client: TestClient) -> tuple[int, int, list[str]]:
        client.app.state.services.source.refresh()  # type: ignore[attr-defined]
        answers = [client.post(f"/v1/{name}/predict", json=body).status_code for name in ("letters", "parcels")]
        return (*answers, [line for line in client.get("/readyz").json()["warnings"] if "letters" in line])  # type: ignore[return-value]

    with TestClient(create_app(settings)) as client:
        assert asked(client) == (200, 200, [])
        write_use_case(use_cases, name="letters", owner="nobody")
        status, other, (warning,) = asked(client)
        assert (status, other) == (200, 200)
        assert "letters: it is answered as it was written before" in warning
    with TestClient(create_app(settings)) as client:
        status, other, (warning,) = asked(client)
        assert (status, other) == (200, 200)
        assert "use_cases/letters/use_case.yaml: owner" in warning
