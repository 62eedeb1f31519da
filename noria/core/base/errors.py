"""Everything Noria refuses to do, as one tree.

    NoriaError
    ├── UseCaseError        a use_case.yaml that does not say what it must (lists every problem)
    ├── SettingsError       a missing, unknown or insecure setting
    ├── SchemaError         tables of Noria that are missing, older or newer, or that could not be migrated
    ├── IntervalError       an interval that is empty, naive or off its cadence
    ├── RuleError           a baseline expression that is not a rule
    ├── InstanceError       a row that does not fit a model's signature (lists every field)
    ├── SourceError         a source that cannot be read as declared
    ├── QualityError        a critical expectation that failed
    ├── TransformError      a dbt model or test that failed
    ├── NotEnoughDataError  too few labelled rows to train or judge
    ├── BundleError         a bundle that is incomplete, altered or gives other scores than when it was made
    ├── RegistryError       the model registry refused or could not be reached
    │   └── PromotionConflictError   the champion moved while we were deciding
    ├── AuditError          the audit trail was altered
    ├── AccessError         a key of serving that cannot be made, changed or found as asked
    ├── ApprovalError       a person who must say yes has not, or was the same who asked
    ├── RolloutError        a rollout that cannot be started or changed as it stands
    ├── NotifyError         an e-mail could not be delivered
    └── StackError          a process of the embedded stack could not start, or a port is taken

A message says what is wrong, where, and what to do. The command line prints it without a traceback; Airflow shows it as
the task's error; serving turns it into a response in one file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class NoriaError(Exception):
    """Base of all errors that a user can act upon."""


def first_line(error: BaseException) -> str:
    """First line of an error's message, for a message of ours that holds it; the name of its class where it has none.

    Example:
        >>> first_line(OSError("disk full\\nmore"))
        'disk full'
        >>> first_line(TimeoutError())
        'TimeoutError'
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in something a user wrote.

    Attributes:
        where: file and field, such as ``use_cases/churn/use_case.yaml: gates[1].atleast``.
        found: what stands there.
        expected: what would be right, with a suggestion where one is close.
    """

    where: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.where}: {self.found}; {self.expected}"


class _ProblemsError(NoriaError):
    """An error that lists every problem at once, so that one round of mending is enough."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        if not problems:
            raise ValueError("an error needs at least one problem")
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type, tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class UseCaseError(_ProblemsError):
    """A use case that does not say what it must."""


class InstanceError(_ProblemsError):
    """A row that does not fit a model's signature."""


class SettingsError(NoriaError):
    """A missing, unknown or insecure setting."""


class SchemaError(NoriaError):
    """Tables of Noria that are missing, older or newer than this release, or that could not be migrated."""


class IntervalError(NoriaError):
    """An interval that is empty, naive or off its cadence."""


class RuleError(NoriaError):
    """A baseline expression that is not a rule."""


class SourceError(NoriaError):
    """A source that cannot be read as declared."""


class QualityError(NoriaError):
    """A critical expectation that failed."""


class TransformError(NoriaError):
    """A dbt model or test that failed."""


class NotEnoughDataError(NoriaError):
    """Too few labelled rows to train or to judge."""


class BundleError(NoriaError):
    """A bundle that is incomplete, altered, or gives other scores than when it was made."""


class RegistryError(NoriaError):
    """The model registry refused or could not be reached."""


class PromotionConflictError(RegistryError):
    """The champion moved while we were deciding."""


class AuditError(NoriaError):
    """The audit trail was altered."""


class NotifyError(NoriaError):
    """An e-mail could not be delivered."""


class StackError(NoriaError):
    """A process of the embedded stack could not start, or a port is taken."""


class ApprovalError(NoriaError):
    """A person who must say yes has not, or was the same who asked."""


class RolloutError(NoriaError):
    """A rollout that cannot be started or changed as it stands."""


class AccessError(NoriaError):
    """A key that cannot be made, changed or found as asked."""
