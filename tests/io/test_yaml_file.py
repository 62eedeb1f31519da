"""Each fault of a YAML file is a problem that names the file and the reason."""

import os
from pathlib import Path

import pytest

from noria.core.base.errors import UseCaseError
from noria.io.catalog import load_catalog
from noria.io.yaml_file import read_yaml
from noria.testing.builders import write_use_case


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("start: 2013-02-30", "day is out of range for month"),
        ("title: Verspätung".encode("latin-1"), ":1: not text in UTF-8"),
        ("title: x".encode("utf-16"), "not text in UTF-8"),
        ("at: !!int foo", "ValueError"),
        ("at: !!int ''", "cannot be read"),
        ("at: !!bool maybe", "KeyError"),
        ("at: !!timestamp foo", "cannot be read"),
        ("at: 9999-99-99T00:00:00Z", "ValueError"),
        (f"at: {'9' * 5000}", "4300 digits"),
        ("[" * 5000, "more than 100 levels"),
        ("- " * 20_000, "more than 100 levels"),
        ("title: [open", "not YAML"),
        ("a: b\x00", "not YAML"),
        ("at: !!python/name:os.system x", "not YAML"),
        ("title: x\nowner: y\ntitle: z", ":3: not YAML .'title' is written twice"),
        ("gates:\n- {metric: f1, metric: mae}", "'metric' is written twice"),
    ],
)
def test_read_yaml_names_file_and_reason(tmp_path, content, reason):
    path = tmp_path / "churn.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UseCaseError, match=rf"^use_cases/churn.yaml.*({reason})"):
        read_yaml(path, "use_cases/churn.yaml")


@pytest.mark.parametrize("text", ["", "a: {k: 1}\nb: {k: 1}", "x: &x {<<: {k: 1}, k: 2}\nz: {<<: *x, l: 3}"])
def test_read_yaml_takes_a_key_once_a_mapping(tmp_path, text):
    path = tmp_path / "churn.yaml"
    path.write_text(text)
    assert read_yaml(path, "churn.yaml") in (None, {"a": {"k": 1}, "b": {"k": 1}}, {"x": {"k": 2}, "z": {"k": 2, "l": 3}})


@pytest.mark.parametrize(
    "fields", [{"known_before": "9" * 12 + "d"}, {"sources": 10**400}, {"segments": ["depot" * 99], "title": "x\udce9"}]
)
def test_a_use_case_that_cannot_be_read_takes_no_other_away(tmp_path, fields):
    write_use_case(tmp_path, name="one")
    path = write_use_case(tmp_path, name="two")
    path.write_text(path.read_text() + "".join(f"\n{key}: {value!r}" for key, value in fields.items()))
    catalog = load_catalog(tmp_path)
    assert [*catalog.use_cases] == ["one"]
    assert [*catalog.problems] == ["two"]


def test_a_use_case_that_loops_dangles_or_hides_is_reported(tmp_path):
    (tmp_path / "plain").mkdir()
    (tmp_path / "a.txt").touch()
    for name, target in (("loop", "use_case.yaml"), ("dangling", "nowhere.yaml")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "use_case.yaml").symlink_to(target)
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "round").symlink_to("round")
    assert {name: problem.found for name, (problem,) in load_catalog(tmp_path).problems.items()} == {
        "loop": "cannot be read (Too many levels of symbolic links)",
        "dangling": "cannot be read (No such file or directory)",
        "gone": "cannot be read (No such file or directory)",
        "round": "cannot be read (Too many levels of symbolic links)",
    }


@pytest.mark.parametrize("place", ["use_cases/hidden", "use_cases"])
def test_a_folder_that_one_may_not_enter_is_reported(tmp_path, place, monkeypatch):
    write_use_case(tmp_path / "use_cases", name="hidden")
    forbid(monkeypatch, tmp_path / place)
    (problems,) = load_catalog(tmp_path / "use_cases").problems.values()
    assert [problem.found for problem in problems] == ["cannot be read (Permission denied)"]


def forbid(monkeypatch, folder):
    """Root may enter everything: say no in its stead."""

    def refusing(real):
        def run(path, *args, **kwargs):
            if Path(path) == folder or folder in Path(path).parents:
                raise PermissionError(13, "Permission denied")
            return real(path, *args, **kwargs)

        return run

    for module, name in ((os, "lstat"), (os, "listdir"), (Path, "read_text"), (Path, "iterdir")):
        monkeypatch.setattr(module, name, refusing(getattr(module, name)))


@pytest.mark.parametrize("name", ["../x", "..", "/etc", ""])
def test_a_name_does_not_leave_the_folder(tmp_path, name):
    write_use_case(tmp_path / "use_cases", name="one")
    (problem,) = load_catalog(tmp_path / "use_cases", [name]).problems[name]
    assert problem.found == f"no use case {name!r}"


@pytest.mark.parametrize("content", [None, b"Versp\xe4tung"])
def test_a_readme_that_cannot_be_read_is_replaced(tmp_path, monkeypatch, content):
    use_cases = pytest.importorskip("noria_airflow.use_cases")
    path = write_use_case(tmp_path, name="one")
    if content:
        (path.parent / "README.md").write_bytes(content)
    catalog = load_catalog(tmp_path)
    monkeypatch.setattr(use_cases, "bootstrap", lambda: catalog)
    assert use_cases.readme(catalog.get("one")).startswith(f"# {catalog.get('one').title}\n")
