"""The version that answers for each use case, now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from noria.core.base.errors import InstanceError
from noria.core.model.bundle import declared_signature
from noria.core.model.decision import DecisionPolicy
from noria.core.model.signature import Field, Kind
from noria.core.use_case import UseCase
from noria.inference.predictor import Predictor
from serving.contract.errors import FieldProblem, UnknownUseCaseError
from serving.contract.input_checks import InputChecks
from serving.contract.pseudonymiser import Pseudonymiser
from serving.contract.request_schema import Instance, RequestSchema


class Origin(StrEnum):
    """Source of a version."""

    REGISTRY = "registry"
    DISK = "disk"
    RULE = "rule"


@dataclass(frozen=True)
class ServedModel:
    """One version that is loaded and answers.

    Attributes:
        version: "0" is the baseline of the use case.
        digest: SHA-256 of the bundle's manifest; empty for the baseline.
        since: time at which it began to answer.
        origin: the registry, the last good bundle on disk, or the use case's own baseline.
        pseudonymiser: replaces personal values in requests as in training rows; None if the use case has none.
    """

    use_case: UseCase
    predictor: Predictor
    version: str
    digest: str
    since: datetime
    origin: Origin
    pseudonymiser: Pseudonymiser | None = None

    @property
    def name(self) -> str:
        """The use case's name."""
        return self.use_case.name

    @cached_property
    def fields(self) -> Mapping[str, Field]:
        """Fields that an instance may have, by name: those that the version reads, then newer ones of the use case.

        Without the newer ones, a roll-back would refuse apps that send a new feature already.
        """
        read = {field.name: field for field in self.predictor.manifest.signature.fields}
        return read | {field.name: _unread(field) for field in self._declared if field.name not in read}

    @property
    def _declared(self) -> tuple[Field, ...]:
        return declared_signature(self.use_case).fields

    @cached_property
    def request_schema(self) -> RequestSchema:
        """Schema of a request."""
        return RequestSchema(self.fields.values(), self.use_case.entity, self.use_case.serving.max_batch)

    @cached_property
    def input_checks(self) -> InputChecks:
        """Checks of an instance that fits the schema."""
        return InputChecks(self.use_case.serving, self.fields, self.predictor.manifest)

    def protected(self, instances: Sequence[Instance]) -> Sequence[Instance]:
        """The instances without personal values, as training rows were."""
        if self.pseudonymiser is None:
            return instances
        protect, name = self.pseudonymiser.protect, self.pseudonymiser.protect_entity
        return [Instance(name(instance.entity), protect(instance.features)) for instance in instances]

    def protected_entities(self, entities: Sequence[str]) -> Sequence[str]:
        """Entities as the feature table has them.

        Raises:
            InstanceError: entities are dropped from the table, so that no features can be looked up.
        """
        if self.pseudonymiser is None:
            return entities
        safe = [self.pseudonymiser.protect_entity(entity) for entity in entities]
        kept = [entity for entity in safe if entity is not None]
        if len(kept) < len(entities):
            expected = f"instances with their fields: {self.use_case.entity} is dropped, so nothing is kept by it"
            raise InstanceError([FieldProblem("entities", "names (not shown: they are personal)", expected)])
        return kept

    def read_of(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of a row of the feature table, in the form that a request gives them."""
        return {name: _as_sent(row.get(name), field) for name, field in self.fields.items()}

    @cached_property
    def policy(self) -> DecisionPolicy:
        """Decision policy of the version."""
        return self.predictor.manifest.policy


def _as_sent(value: Any, field: Field) -> Any:
    if value is None:
        return None
    return float(value) if field.kind is Kind.NUMERIC else str(value)


def _unread(field: Field) -> Field:
    description = " ".join(part for part in (field.description, "(This version does not read it.)") if part)
    return field.model_copy(update={"description": description, "required": False})


class ServedModels:
    """Versions by use case. A swap is one assignment: a request sees the old version or the new one, never a mix."""

    def __init__(self) -> None:
        self._by_name: Mapping[str, ServedModel] = {}

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._by_name.values())

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def get(self, name: str) -> ServedModel:
        """The version that answers for a use case.

        Raises:
            UnknownUseCaseError: no use case has that name; names those there are.
        """
        try:
            return self._by_name[name]
        except KeyError:
            raise UnknownUseCaseError(name, tuple(self._by_name)) from None

    def find(self, name: str) -> ServedModel | None:
        """The version that answers for a use case; None if there is no such use case."""
        return self._by_name.get(name)

    def put(self, model: ServedModel) -> None:
        """Let a version answer from now on. Only one thread may call this."""
        self._by_name = dict(sorted({**self._by_name, model.name: model}.items()))

    def remove(self, name: str) -> None:
        """Stop answering for a use case whose folder has gone; harmless if none answers."""
        self._by_name = {key: model for key, model in self._by_name.items() if key != name}
