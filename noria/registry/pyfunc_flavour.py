"""Entry point of MLflow to run one of our bundles: the loader module of the python_function flavour.

`mlflow.pyfunc.load_model` and `mlflow models serve` import this module, named in the bundle's MLmodel file, and hand it the
folder they fetched. It is the same predictor that training, batch scoring and REST use, so the numbers are the same; nothing
is unpickled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noria.core.base.errors import InstanceError, Problem
from noria.core.model.signature import Field, Kind
from noria.inference.predictor import Predictor, load_predictor

if TYPE_CHECKING:
    import pandas as pd

SCORE = "score"
DECISION = "decision"
PROBABILITY = "probability_"


class BundleModel:
    """A predictor behind the interface that MLflow asks for."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def predict(self, rows: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002
        """Score and decide.

        Args:
            rows: raw features, one column each, in any order; a missing value or a missing column is a missing feature, and
                a category that training never saw is allowed. Columns that the model does not read are ignored.
            params: MLflow's own; there are none.

        Returns:
            ``score`` (the probability of yes or of the class decided on, or the number), ``decision`` (true or false, a
            class, or the number), and for several classes ``probability_<class>`` of each; under the same index.

        Raises:
            InstanceError: a number cannot be read as one.
        """
        import pandas as pd

        manifest = self._predictor.manifest
        scores = self._predictor.score_columns({field.name: _column(rows, field) for field in manifest.signature.fields})
        policy = manifest.policy
        decisions = policy.decide(scores)
        found: dict[str, Any] = {SCORE: policy.chosen_scores(scores, decisions), DECISION: policy.words(decisions)}
        if manifest.task.is_multiclass:
            found |= {f"{PROBABILITY}{name}": scores[:, index] for index, name in enumerate(manifest.classes)}
        return pd.DataFrame(found, index=rows.index)


def _load_pyfunc(path: str) -> BundleModel:
    """MLflow's entry point: the model in a folder, after its checksums and golden requests were checked."""
    return BundleModel(load_predictor(Path(path)))


def _column(rows: pd.DataFrame, field: Field) -> Sequence[Any]:
    """A feature as the predictor takes it: floats or texts, None where it is missing."""
    import pandas as pd

    if field.name not in rows:
        return [None] * len(rows)
    values = rows[field.name]
    if field.kind is Kind.NUMERIC:
        try:
            values = pd.to_numeric(values)
        except (TypeError, ValueError) as error:
            raise InstanceError(
                [Problem(field.name, str(error), "expected numbers, or null where one is missing")]
            ) from error
    return [None if missing else value for value, missing in zip(values.tolist(), values.isna(), strict=True)]
