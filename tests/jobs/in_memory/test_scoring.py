"""Batch scoring, with every part in memory."""

from datetime import UTC, datetime

import pytest

from noria.core.base.errors import QualityError, TransformError
from noria.core.lifecycle.audit_event import Action
from noria.jobs import scoring
from noria.testing.fakes.interruption import Killed
from tests.jobs.in_memory.parcels import day, feature_rows, label_rows
from tests.release.candidates import AS_OF, a_candidate
from tests.release.test_audit import note


@pytest.fixture
def scored(services, use_case):
    services.features.put_features(use_case, feature_rows([9, 18, 23]))
    services.features.put_labels(use_case, label_rows(use_case, [False, True, True]))
    return use_case


def decisions(services, use_case):
    rows = services.predictions.read(use_case, day(0), day(3).end)
    return list(zip(rows["version"].to_pylist(), rows["decision"].to_pylist(), strict=True))


def test_score_without_a_promotion_uses_the_baseline(services, scored):
    result = scoring.score(services, scored, day(0))
    assert (result.version, result.rows) == ("0", 3)
    assert decisions(services, scored) == [("0", "false"), ("0", "true"), ("0", "true")]


def test_score_twice_gives_the_same_rows_and_the_same_digest(services, scored):
    assert scoring.score(services, scored, day(0)) == scoring.score(services, scored, day(0))
    assert len(decisions(services, scored)) == 3


def test_score_of_another_day_keeps_the_first(services, scored):
    scoring.score(services, scored, day(0))
    services.features.put_features(scored, feature_rows([20], 1))
    assert scoring.score(services, scored, day(1)).rows == 1
    assert len(decisions(services, scored)) == 3


def test_score_of_a_quarantined_interval_is_refused_and_keeps_what_was_there(services, scored):
    scoring.score(services, scored, day(0))
    services.features.quarantine(scored, day(0))
    with pytest.raises(QualityError, match="have not passed their checks"):
        scoring.score(services, scored, day(0))
    services.features.release(scored, day(0))
    assert len(decisions(services, scored)) == 3


def test_score_before_features_were_built_is_refused(services, use_case):
    with pytest.raises(TransformError, match=r"features\.ftr_parcels does not exist"):
        scoring.score(services, use_case, day(0))


def test_score_killed_before_the_commit_keeps_the_old_rows_and_the_next_call_replaces_them(services, scored):
    scoring.score(services, scored, day(0))
    services.features.put_features(scored, feature_rows([9, 9, 9]))
    services.predictions.killed_before_commit = True
    with pytest.raises(Killed):
        scoring.score(services, scored, day(0))
    assert decisions(services, scored)[1] == ("0", "true")
    scoring.score(services, scored, day(0))
    assert {decision for _, decision in decisions(services, scored)} == {"false"}


@pytest.mark.parametrize(("at", "version"), [(AS_OF["1"], "1"), (AS_OF["2"], "1"), (datetime(2024, 4, 1, tzinfo=UTC), "0")])
def test_version_in_force_had_seen_nothing_of_the_interval(services, use_case, tmp_path, at, version):
    scoring.ensure_baseline(services, use_case)
    a_candidate(services.registry, tmp_path, "1")
    note(services.audit, Action.PROMOTED, "1", as_of=AS_OF["1"])
    interval = use_case.schedule.data.interval_starting(at)
    assert scoring.version_in_force(services, use_case, interval).version == version
