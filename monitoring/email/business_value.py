"""Value of decisions, in words. A number that is predicted is never worth more than nothing: its errors cost."""

from __future__ import annotations

from dataclasses import dataclass

from noria.core.base.formatting import money
from noria.core.lifecycle.drift_report import DriftReport


@dataclass(frozen=True)
class Figure:
    """A number with its name."""

    name: str
    value: str


def worth_in_a_sentence(assessment: DriftReport) -> str:
    """Gain of the model: against the baseline, and against its own evaluation."""
    currency, line = assessment.money.currency, assessment.money
    if not line.labelled:
        return "No label has arrived yet, so no money can be counted."
    if not assessment.features:
        return f"The baseline's {_worth(assessment, line.value)}. No model has beaten it yet."
    earned = line.value - line.baseline_value
    text = f"The model's {_against_rule(assessment, earned)} on the same rows."
    lost, per_1000 = assessment.lost, assessment.lost_per_1000
    if lost is None or per_1000 is None:
        return text
    text = f"{text} {_per_1000(assessment, -per_1000)}"
    return f"{text}: {money(lost, currency)} over this period." if per_1000 > 0 else f"{text}."


def rule_in_a_headline(assessment: DriftReport) -> str:
    """Value of the baseline's decisions, where it serves."""
    amount, currency = assessment.money.value, assessment.money.currency
    if _errs(assessment):
        return f"the baseline serves, its errors cost {money(-amount, currency)}"
    return f"the baseline serves, {money(amount, currency, signed=True)}"


def money_figures(assessment: DriftReport) -> tuple[Figure, ...]:
    """The interval's line of the ledger, figure by figure; the one that counts comes last."""
    line, errs, compared = assessment.money, _errs(assessment), bool(assessment.features)
    sign = -1 if errs else 1
    figures = [
        Figure("Predictions" if errs else "Decisions", f"{line.decisions:,}"),
        Figure("With a label", f"{line.labelled:,}"),
        Figure("Errors cost" if errs else "Decisions were worth", money(sign * line.value, line.currency)),
    ]
    if compared:
        name = "The baseline's would cost" if errs else "The baseline's would be"
        figures.append(Figure(name, money(sign * line.baseline_value, line.currency)))
    figures.append(Figure("Cost of running", money(line.cost, line.currency)))
    if compared:
        figures.append(Figure("Gain over the baseline", money(line.gain, line.currency, signed=True)))
    return tuple(figures)


def _errs(assessment: DriftReport) -> bool:
    return assessment.task.is_regression


def _worth(assessment: DriftReport, amount: float) -> str:
    currency = assessment.money.currency
    return (
        f"errors cost {money(-amount, currency)}" if _errs(assessment) else f"decisions were worth {money(amount, currency)}"
    )


def _against_rule(assessment: DriftReport, earned: float) -> str:
    amount = money(abs(earned), assessment.money.currency)
    if _errs(assessment):
        return f"errors cost {amount} {'less' if earned >= 0 else 'more'} than the baseline's would have"
    return f"decisions were worth {amount} {'more' if earned >= 0 else 'less'} than the baseline's"


def _per_1000(assessment: DriftReport, gained: float) -> str:
    amount = money(abs(gained), assessment.money.currency)
    if _errs(assessment):
        side = "less" if gained >= 0 else "more"
        return f"Per 1,000 predictions they cost {amount} {side} than in the model's own evaluation"
    return f"Per 1,000 decisions it made {amount} {'more' if gained >= 0 else 'less'} than in its own evaluation"
