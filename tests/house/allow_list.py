"""An import contract: some modules may import what is listed, and nothing else."""

from __future__ import annotations

import sys

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class AllowList(Contract):
    """Direct imports of `source_modules` and all below them are among `allowed_modules`, or below one of these.

    `standard_library` allows all of it.
    """

    source_modules = fields.ListField(subfield=fields.StringField())
    allowed_modules = fields.ListField(subfield=fields.StringField())
    standard_library = fields.BooleanField(required=False, default=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Find imports that nobody allowed."""
        sources = {module for root in self.source_modules for module in (root, *graph.find_descendants(root))}
        allowed_modules = {*self.allowed_modules, *(sys.stdlib_module_names if self.standard_library else ())}
        strangers = sorted(
            (module, imported)
            for module in sources
            for imported in graph.find_modules_directly_imported_by(module)
            if not any(imported == allowed or imported.startswith(f"{allowed}.") for allowed in allowed_modules)
        )
        return ContractCheck(kept=not strangers, metadata={"strangers": strangers})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print one line for each import."""
        for module, imported in check.metadata["strangers"]:
            output.print_error(f"{module} imports {imported}, which is not in the contract's allowed_modules", bold=False)
