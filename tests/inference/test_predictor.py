"""The baseline is compared on every row, though it leaves some numbers open."""

import numpy as np

from noria.inference.predictor import baseline_predictor, score_for_comparison
from noria.testing.builders import a_use_case


def test_number_that_a_missing_feature_leaves_open_is_that_of_a_row_without_any(tmp_path):
    business = {"decision": "plan", "currency": "EUR", "value": {"over": -1, "under": -2}}
    use_case = a_use_case(tmp_path, task="regression", business=business | {"baseline": "weight * 2 if hour > 12 else 95"})
    predictor = baseline_predictor(use_case)
    columns = {"weight": [3.0, None, None], "hour": [13.0, 13.0, 9.0], "depot": ["north"] * 3}
    used = {name: columns[name] for name in predictor.manifest.signature.names}
    np.testing.assert_array_equal(score_for_comparison(predictor, used), [6.0, 95.0, 95.0])
    np.testing.assert_array_equal(predictor.score_columns(used), [6.0, np.nan, 95.0])  # serving refuses the second
