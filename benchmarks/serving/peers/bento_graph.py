"""The graph behind BentoML: bentoml serve bento_graph:GraphService"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bentoml


@bentoml.service(name="graph", workers=1, logging={"access": {"enabled": False}})
class GraphService:
    """One process, one route."""

    def __init__(self) -> None:
        from graph import make_scorer

        self._score = make_scorer(Path(os.environ["MODEL_FOLDER"]))

    @bentoml.api
    async def predict(self, instances: list[dict[str, Any]]) -> list[float]:
        """Probabilities of yes."""
        return self._score(instances)
