"""Lines of the journal of predictions, of this release and of an older one, and the log that stores them."""

import json

from serving.journal.prediction_log import PredictionLog
from serving.observability.metrics import Metrics

LINE = {
    "use_case": "parcels",
    "requested_at": "2024-05-01T12:00:00+00:00",
    "request_id": "r-1",
    "caller": "desk",
    "latency_ms": 0.25,
    "predictions": [
        {
            "id": "018f0000-0000-7000-8000-000000000001",
            "entity": "P-1",
            "features": {"hour": 19.0, "depot": 'nørth\t\\N\n"'},
            "score": 0.75,
            "decision": True,
            "threshold": 0.4,
            "version": "3",
            "alias": "champion",
            "digest": "5" * 64,
        },
        {
            "id": "018f0000-0000-7000-8000-000000000002",
            "entity": None,
            "features": {"hour": None, "weight": 3.5},
            "score": 0.25,
            "decision": False,
            "threshold": 0.6,
            "version": "4",
            "alias": "challenger",
            "digest": "6" * 64,
        },
    ],
}

OF_LISTS = {
    "use_case": "parcels",
    "version": "3",
    "requested_at": "2024-05-01T12:00:00+00:00",
    "threshold": 0.4,
    "latency_ms": 0.25,
    "predictions": [
        ["018f0000-0000-7000-8000-000000000001", "P-1", {"hour": 19, "depot": 'nørth\t\\N\n"'}, 0.75, True],
        ["018f0000-0000-7000-8000-000000000002", None, {"hour": None, "weight": 3.5}, 0.25, False],
    ],
}


def a_log(journal, url):
    return PredictionLog(journal, url, Metrics(), pause=0.05)


def encoded(line):
    return json.dumps(line).encode() + b"\n"
