"""A journal that is full: it refuses or counts, as it is set, and recovers."""

from uuid import UUID

import pytest

from noria.io.clock import SystemClock
from noria.settings import WhenLogFull
from serving.contract.errors import JournalFullError
from serving.journal.journal import Journal
from serving.journal.prediction_log import PredictionLog
from serving.observability.metrics import Metrics
from tests.serving.journal.lines import LINE, encoded

pytestmark = pytest.mark.slow


def a_full_log(tmp_path, url, when_full):
    journal = Journal(tmp_path / "journal", SystemClock(), limit_bytes=3000)
    log = PredictionLog(journal, url, Metrics(), pause=0.02, when_full=when_full)
    while len(encoded(LINE)) + journal.backlog().bytes <= 3000:
        assert log.append(encoded(LINE))
    return log


def test_full_log_refuses_logs_it_once_and_recovers_with_postgresql(
    tmp_path, database_url, make_tables, stored, eventually, caplog
):
    log = a_full_log(tmp_path, database_url, WhenLogFull.REFUSE)
    assert "%" in log.state.warning
    assert log.state.journal_trouble == ""
    with pytest.raises(JournalFullError, match="NORIA_SERVING_JOURNAL_MB"):
        log.append(encoded(LINE))
    assert "NORIA_SERVING_JOURNAL_MB" in log.state.journal_trouble
    log.start()
    eventually(lambda: "journal of predictions is full" in caplog.text)
    make_tables(database_url)
    eventually(lambda: not log.state.journal_trouble)
    assert log.append(encoded({**LINE, "predictions": [{**LINE["predictions"][0], "id": str(UUID(int=7))}]}))
    log.stop()
    assert len(stored(database_url)) == 3
    assert (log.state.unlogged, log.state.warning) == (0, "")
    assert caplog.text.count("journal of predictions is full") == 1


def test_full_log_set_to_answer_counts_unlogged_predictions(tmp_path):
    log = a_full_log(tmp_path, "", WhenLogFull.ANSWER)
    assert [log.append(encoded(LINE), predictions=2) for _ in range(3)] == [False] * 3
    state = log.state
    assert (state.unlogged, state.journal_trouble) == (6, "")
    assert "NORIA_SERVING_JOURNAL_MB" in state.warning
    assert state.backlog.bytes <= state.limit_bytes == 3000


def test_log_without_database_keeps_predictions_and_watches_the_disk(tmp_path, eventually):
    log = a_full_log(tmp_path, "", WhenLogFull.REFUSE)
    with pytest.raises(JournalFullError):
        log.append(encoded(LINE))
    log.start()
    for path in (tmp_path / "journal").glob("*.jsonl"):
        path.unlink()
    eventually(lambda: not log.state.journal_trouble)
    log.stop()
    assert "NORIA_WAREHOUSE_URL" in log.state.trouble
