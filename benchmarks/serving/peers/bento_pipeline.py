"""The pipeline behind BentoML: bentoml serve bento_pipeline:PipelineService"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bentoml


@bentoml.service(name="pipeline", workers=1, logging={"access": {"enabled": False}})
class PipelineService:
    """One process, one route."""

    def __init__(self) -> None:
        from pipeline import make_pipeline, scores

        self._pipeline = make_pipeline(Path(os.environ["MODEL_FOLDER"]))[0]
        self._scores = scores

    @bentoml.api
    async def predict(self, instances: list[dict[str, Any]]) -> list[float]:
        """Probabilities of yes."""
        return self._scores(self._pipeline, instances)  # in the event loop: a thread for each request is slower still
