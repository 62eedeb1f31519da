"""A typed client of Noria's REST API. It needs httpx and nothing else of Noria.

    from noria.client import NoriaClient

    with NoriaClient("https://noria.example.com", key="...") as noria:
        delays = noria.predict("flight_delays", [{"carrier": "UA", "distance": 1400}])
        if delays[0].decision: ...

`AsyncNoriaClient` is the same with `await`.
"""

from noria.client.asynchronous import AsyncNoriaClient
from noria.client.errors import NoAnswerError, NoriaClientError, RefusedError, UnexpectedAnswerError
from noria.client.models import (
    About,
    Expected,
    Feedback,
    FieldError,
    Prediction,
    Predictions,
    PredictionWarning,
    Reason,
    Received,
)
from noria.client.retry import Retries
from noria.client.sync import NoriaClient

__all__ = [
    "About",
    "AsyncNoriaClient",
    "Expected",
    "Feedback",
    "FieldError",
    "NoAnswerError",
    "NoriaClient",
    "NoriaClientError",
    "Prediction",
    "PredictionWarning",
    "Predictions",
    "Reason",
    "Received",
    "RefusedError",
    "Retries",
    "UnexpectedAnswerError",
]
