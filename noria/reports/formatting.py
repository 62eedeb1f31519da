"""Numbers and names as people read them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from noria.core.lifecycle.evaluation import Difference, Estimate
from noria.core.metrics.direction import LOWER_IS_BETTER, NEARER_ZERO_IS_BETTER, goodness

METRIC_NAMES: Mapping[str, tuple[str, str]] = {
    "roc_auc": ("ROC AUC", "how well rows are put in order; 0.5 is chance, 1 is perfect"),
    "average_precision": ("Average precision", "how pure the top of the list is, over all lengths of list"),
    "log_loss": ("Log loss", "how far probabilities are from what came"),
    "brier": ("Brier score", "mean squared error of the probabilities"),
    "calibration_error": ("Calibration error", "mean distance between what is said and how often it comes"),
    "precision": ("Precision", "share of yes decisions that were right"),
    "recall": ("Recall", "share of what came that was decided yes"),
    "f1": ("F1", "harmonic mean of precision and recall"),
    "accuracy": ("Accuracy", "share of decisions that named what came"),
    "balanced_accuracy": ("Balanced accuracy", "share right, every class counting alike"),
    "macro_precision": ("Macro precision", "precision, every class counting alike"),
    "macro_recall": ("Macro recall", "recall, every class counting alike"),
    "macro_f1": ("Macro F1", "F1, every class counting alike"),
    "mae": ("Mean absolute error", "in the unit of what is predicted"),
    "rmse": ("Root mean squared error", "as the mean absolute error, large errors counting more"),
    "mape": ("Mean absolute percentage error", "error as a share of what came"),
    "wape": ("Weighted percentage error", "sum of errors as a share of the sum of what came"),
    "r2": ("R²", "share of the variation that is explained"),
    "bias": ("Bias", "mean of prediction less what came"),
    "value": ("Value", "money per 1,000 decisions"),
    "demographic_parity": ("Demographic parity", "largest difference between the yes rates of two groups"),
    "disparate_impact": ("Disparate impact", "lowest yes rate over the highest"),
    "equalised_odds": ("Equalised odds", "largest difference between the error rates of two groups"),
    "parity": ("Parity", "largest difference between what was trained and what serves"),
    "latency_ms": ("Latency", "milliseconds of one prediction"),
    "size_mb": ("Size", "megabytes of the bundle"),
    "pinball": ("Pinball loss", "loss of the quantile that costs least"),
}
LINE_NAMES: Mapping[str, str] = {
    "candidate": "Candidate",
    "champion": "Serving model",
    "baseline": "Today's rule",
    "nothing": "Doing nothing",
    "perfect": "Perfect foresight",
}
_SHARES = frozenset({"mape", "wape"})


@dataclass(frozen=True)
class Lead:
    """A difference between two, and whether it is more than chance.

    Attributes:
        text: the difference with its interval.
        verdict: `better`, `worse` or `chance`.
    """

    text: str
    verdict: str


def metric_name(metric: str) -> str:
    """Its name as the field writes it."""
    return METRIC_NAMES.get(metric, (metric.replace("_", " "), ""))[0]


def metric_meaning(metric: str) -> str:
    """What it says, in a few words."""
    return METRIC_NAMES.get(metric, ("", ""))[1]


def direction(metric: str) -> str:
    """Which way is better."""
    if metric in NEARER_ZERO_IS_BETTER:
        return "nearer 0 is better"
    return "lower is better" if metric in LOWER_IS_BETTER else "higher is better"


def number(metric: str, found: float | None) -> str:
    """A metric's number with as many digits as mean something; a dash where there is none."""
    if found is None or not math.isfinite(found):
        return "–"
    if metric == "value":
        return amount(found)
    if metric in _SHARES:
        return f"{100 * found:.1f} %"
    if metric == "parity":
        return f"{found:.1g}"
    digits = next((digits for above, digits in ((1000, 0), (10, 1), (1, 2)) if abs(found) > above), 3)
    return signed_minus(f"{found:,.{digits}f}")


def amount(money: float) -> str:
    """Money in whole units, or with cents where it is small."""
    return signed_minus(f"{money:,.0f}" if abs(money) >= 10 or abs(money) < 0.005 else f"{money:,.2f}")


def short(found: float) -> str:
    """Any number with three digits behind the point, or one where it is large."""
    return number("", found)


def plain(found: float) -> str:
    """Any number with four significant digits at most."""
    return signed_minus(f"{found:,.0f}" if abs(found) >= 1000 else f"{found:.4g}")


def interval(metric: str, estimate: Estimate | None) -> str:
    """The bounds of an interval."""
    return f"{number(metric, estimate.low)} to {number(metric, estimate.high)}" if estimate else ""


def lead(metric: str, difference: Difference | None) -> Lead | None:
    """A difference in words; it is more than chance where its interval is on one side of 0."""
    if difference is None:
        return None
    sign = "+" if difference.value > 0 else ""
    text = (
        f"{sign}{number(metric, difference.value)} ({number(metric, difference.low)} to {number(metric, difference.high)})"
    )
    if difference.low <= 0 <= difference.high:
        return Lead(text, "chance")
    up = difference.value > 0
    if metric in NEARER_ZERO_IS_BETTER:
        return Lead(text, "worse" if up else "better")  # a difference of absolute values
    return Lead(text, "better" if (goodness(metric, 1.0) > 0) == up else "worse")


def day(instant: str) -> str:
    """The day of an instant, such as 3 March 2024."""
    when = datetime.fromisoformat(instant)
    return f"{when.day} {when:%B %Y}"


def signed_minus(text: str) -> str:
    """A minus that is as wide as a plus; no minus before a zero."""
    return text.lstrip("-") if not text.strip("-0.,") else text.replace("-", "−")
