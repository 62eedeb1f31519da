"""Entry points hand the services on to jobs; they use none of the parts themselves."""

from __future__ import annotations

import ast

from tests.conftest import PROJECT
from tests.house.structure import modules_of

ENTRY_POINTS = ("noria/cli", "dags", "plugins/noria_airflow")
ALLOWED = {"catalog", "clock", "settings", "use_case"}
"""Where a run is, and of what; none of these reads or changes what jobs keep."""


def parts_used(tree: ast.AST) -> set[str]:
    """Attributes of everything whose name ends with `services`."""
    found = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    return {node.attr for node in found if ast.unparse(node.value).removesuffix("()").endswith("services")}


def test_entry_points_leave_the_parts_to_jobs():
    used = {name: parts_used(module.tree) for name, module in modules_of(PROJECT, ENTRY_POINTS).items()}
    assert any(used.values())
    assert {name: parts - ALLOWED for name, parts in used.items() if parts - ALLOWED} == {}


def test_part_used_in_an_entry_point_is_found():
    assert parts_used(ast.parse("run.services.registry.versions(name); open_services().audit")) == {"registry", "audit"}
