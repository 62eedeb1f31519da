"""Evidence of a version: model card, evaluation page and checklist, made with the version and brought up to date later.

Training writes it, the command line reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from noria.bootstrap import Services
from noria.core.base.errors import RegistryError
from noria.core.base.results import SnapshotRef
from noria.core.lifecycle.evaluation import EvaluationReport, GateResult
from noria.core.lifecycle.gates import check_gates
from noria.core.lifecycle.registry import EVIDENCE, ModelVersion
from noria.core.model.bundle import BASELINE_VERSION, EVALUATION
from noria.core.use_case import UseCase
from noria.io.bundle_files import read_manifest

if TYPE_CHECKING:
    from noria.core.lifecycle.check_line import ChecklistItem
    from noria.reports.model_card import ModelCard
    from noria.training.bundle.build import ModelBundle

EVALUATION_PAGE = "evaluation.html"


@dataclass(frozen=True)
class EvidenceRequest:
    """Evidence of a bundle that is about to be registered.

    Attributes:
        use_case: specification of the model.
        snapshot: the training set.
        bundle: its files, evaluation and parameters.
        gates: results of the gates.
        environment: versions of the libraries that computed it.
        folder: where the pages are written.
    """

    use_case: UseCase
    snapshot: SnapshotRef
    bundle: ModelBundle
    gates: Sequence[GateResult]
    environment: Mapping[str, str]
    folder: Path


def write_evidence(services: Services, request: EvidenceRequest) -> Path:
    """Write model card and evaluation page of a bundle that is about to be registered; returns the folder.

    Args:
        services: their history has the lineage of the training set.
        request: the bundle, and where the pages are written.

    Example:
        >>> gates = check_gates(use_case.gates, bundle.report)
        >>> request = EvidenceRequest(use_case, snapshot, bundle, gates, {"xgboost": "3.2.0"}, folder / "pages")
        >>> sorted(path.name for path in write_evidence(services, request).iterdir())
        ['card.html', 'card.json', 'evaluation.html']
    """
    from noria.reports import evaluation_page
    from noria.reports.model_card import make_card
    from noria.reports.model_card_files import write_card

    use_case, snapshot, bundle = request.use_case, request.snapshot, request.bundle
    card = make_card(
        use_case,
        read_manifest(bundle.folder, bundle.digest),
        bundle.report,
        bundle_digest=bundle.digest,
        written_at=services.clock.now(),
        gates=request.gates,
        lineage=services.history.lineage(use_case, snapshot),
        params=bundle.params,
        environment=request.environment,
    )
    write_card(request.folder, _brought_up_to_date(services, use_case, card, version=""))
    evaluation_page.write(bundle.report, use_case, request.folder / EVALUATION_PAGE, request.gates)
    return request.folder


def checklist(
    services: Services, use_case: UseCase, version: str | None = None
) -> tuple[ModelVersion, tuple[ChecklistItem, ...]]:
    """Checklist of a version before it decides, as of now.

    Args:
        services: registry, audit trail and warehouse are asked.
        use_case: as it is written now.
        version: None takes the champion, or the newest version while the baseline serves.

    Raises:
        RegistryError: there is no such version, or none but the baseline.

    Example:
        >>> version, lines = checklist(services, use_case, candidate.version)
        >>> print(lines[1].what, lines[1].state, lines[1].evidence, sep=" | ")
        Every enforced gate passed | yes | roc_auc at least 0.6
    """
    found = _chosen(services, use_case, version)
    card, _ = _card_of(services, use_case, found)
    return found, _brought_up_to_date(services, use_case, card, version=found.version).checklist


def write_card(services: Services, use_case: UseCase, version: str | None = None) -> Path:
    """Write a version's model card again, with what has happened since it was made; returns the page's path.

    A version that was registered without a card gets one from its bundle, without lineage.

    Raises:
        RegistryError: there is no such version, or none but the baseline.

    Example:
        >>> path = write_card(services, use_case, candidate.version)
        >>> path.name, "Warn customers of a late parcel" in path.read_text(encoding="utf-8")
        ('card.html', True)
    """
    from noria.reports.model_card_files import write_card as write

    found = _chosen(services, use_case, version)
    card, folder = _card_of(services, use_case, found)
    return write(folder, _brought_up_to_date(services, use_case, card, version=found.version))


def _chosen(services: Services, use_case: UseCase, version: str | None) -> ModelVersion:
    registry = services.registry
    if version is not None:
        found = registry.version(use_case.name, version)
    else:
        champion = registry.champion(use_case.name)
        found = champion if champion.version != BASELINE_VERSION else registry.versions(use_case.name)[-1]
    if found.version == BASELINE_VERSION:
        raise RegistryError(
            f"version 0 of {use_case.name} is the baseline in its use_case.yaml and has no card; train a version first"
        )
    return found


def _card_of(services: Services, use_case: UseCase, version: ModelVersion) -> tuple[ModelCard, Path]:
    """The card as it was when the version was made, and the folder that its pages are in."""
    from noria.reports.model_card_files import read_card

    into = services.settings.reports / use_case.name / "cards" / version.version
    folder = services.registry.download_evidence(version, into) or into / EVIDENCE
    return read_card(folder) or _card_from_bundle(services, use_case, version, folder), folder


def _card_from_bundle(services: Services, use_case: UseCase, version: ModelVersion, folder: Path) -> ModelCard:
    from noria.reports import evaluation_page
    from noria.reports.model_card import make_card

    bundle = services.registry.download(version, services.settings.bundles)
    report = EvaluationReport.model_validate_json((bundle / EVALUATION).read_bytes())
    gates = check_gates(use_case.gates, report)
    evaluation_page.write(report, use_case, folder / EVALUATION_PAGE, gates)
    return make_card(
        use_case,
        read_manifest(bundle, version.bundle_digest),
        report,
        bundle_digest=version.bundle_digest,
        written_at=services.clock.now(),
        gates=gates,
    )


def _brought_up_to_date(services: Services, use_case: UseCase, card: ModelCard, *, version: str) -> ModelCard:
    from noria.reports.checklist import ChecklistFacts, compute_checklist
    from noria.reports.model_card import brought_up_to_date
    from noria.reports.operations import Operations

    now: datetime = services.clock.now()
    events = services.audit.events(use_case.name)
    lines = compute_checklist(
        ChecklistFacts(
            use_case=use_case,
            report=card.report,
            gates=card.gates,
            lineage=card.lineage,
            operations=services.history.operations(use_case.name, version) if version else Operations(),
            events=events,
            version=version,
            now=now,
        )
    )
    return brought_up_to_date(card, version=version, checklist=lines, events=events, now=now)
