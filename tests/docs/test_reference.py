import runpy

import pytest

from noria.core.use_case import UseCase
from noria.settings import Settings


@pytest.fixture(scope="module")
def reference(request):
    project = request.config.rootpath
    return runpy.run_path(str(project / "scripts" / "reference.py"))


def test_the_reference_is_up_to_date(reference):
    pages = reference["pages"]()
    assert len(pages) == 5
    stale = [path.name for path, text in pages.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    assert stale == [], "run `make docs`"


def test_every_setting_and_field_has_a_description(reference):
    assert all(field.description for field in Settings.model_fields.values())
    schema = UseCase.model_json_schema()
    bare = [
        f"{name}.{field}"
        for name, definition in {"UseCase": schema, **schema["$defs"]}.items()
        for field, about in definition.get("properties", {}).items()
        if not (about.get("description") or "$ref" in about)
    ]
    assert bare == []


def test_every_command_is_in_the_reference_with_its_help(reference):
    text = reference["command_line"]()
    commands = dict(reference["commands"]("noria", reference["get_command"](reference["app"])))
    assert {"noria up", "noria down", "noria check", "noria train", "noria audit verify"} <= set(commands)
    for name, command in commands.items():
        assert f"## {name}\n" in text
        assert command.help
