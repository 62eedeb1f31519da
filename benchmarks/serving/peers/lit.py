"""The pipeline or the graph behind LitServe: python lit.py pipeline|graph PORT

Without postponed annotations: LitServe reads those of `decode_request` to learn what comes.
"""

import os
import sys
from pathlib import Path
from typing import Any

import litserve


class PipelineAPI(litserve.LitAPI):
    """The pipeline, as LitServe asks for it."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's signature
        """Load it, in LitServe's worker."""
        from pipeline import make_pipeline, scores

        pipeline = make_pipeline(Path(os.environ["MODEL_FOLDER"]))[0]
        self._score = lambda rows: scores(pipeline, rows)

    def decode_request(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        """Rows."""
        return request["instances"]  # type: ignore[no-any-return]

    def predict(self, rows: list[dict[str, Any]]) -> list[float]:
        """Probabilities of yes."""
        return self._score(rows)

    def encode_response(self, output: list[float]) -> dict[str, Any]:
        """The answer."""
        return {"scores": output}


class GraphAPI(PipelineAPI):
    """The graph."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        """Load it."""
        from graph import make_scorer

        self._score = make_scorer(Path(os.environ["MODEL_FOLDER"]))


if __name__ == "__main__":
    api = PipelineAPI() if sys.argv[1] == "pipeline" else GraphAPI()
    server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), num_api_servers=1, generate_client_file=False, log_level="warning")
