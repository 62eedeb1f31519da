"""Words for answers: meaning, decision rule, value; for the API documentation and the pages."""

from __future__ import annotations

from noria.core.base.formatting import number, plain_name
from noria.core.use_case import ConfusionValue, InputPolicy, UnitValue
from serving.models.served_model import ServedModel

_HANDLED = {
    InputPolicy.ACCEPT: "are answered",
    InputPolicy.WARN: "are answered with a warning",
    InputPolicy.REFUSE: "are refused",
}


def meaning(model: ServedModel) -> str:
    """Action on a decision."""
    decision = model.use_case.business.decision
    if model.use_case.task.is_binary:
        return f"A decision of true means: {decision}."
    if model.use_case.task.is_multiclass:
        return f"The decision is a class, one of {', '.join(model.use_case.label.classes)}: {decision}."
    return f"The decision is a number, the {model.use_case.label.column} predicted: {decision}."


def how_it_decides(model: ServedModel) -> str:
    """Way in which the version turns scores into decisions."""
    if model.use_case.task.is_binary:
        return f"It decides true where the score, a probability, is at least {model.policy.threshold:g}."
    if model.use_case.task.is_regression:
        return "The decision is the score itself."
    if model.policy.payoffs:
        return "It decides for the class that is worth most on average, given the probabilities of all of them."
    return "It decides for the likeliest class."


def policies(model: ServedModel) -> str:
    """Handling of values that the version rarely saw in training."""
    serving = model.use_case.serving
    return (
        f"Missing values {_HANDLED[serving.missing]}, texts that training did not see {_HANDLED[serving.unseen_category]}, "
        f"numbers out of range {_HANDLED[serving.out_of_range]}."
    )


def what_is_at_stake(model: ServedModel) -> str:
    """Money of each outcome that is not worth zero."""
    value, currency = model.use_case.business.value, model.use_case.business.currency
    if isinstance(value, UnitValue):
        parts = [f"{_stated(value.over)} per unit too high", f"{_stated(value.under)} per unit too low"]
    elif isinstance(value, ConfusionValue):
        named = ((plain_name(name), money) for name, money in value.model_dump().items())
        parts = [f"{_stated(money)} for a {name}" for name, money in named if money]
    else:
        cells = ((decided, came, money) for decided, row in value.items() for came, money in row.items())
        parts = [f"{_stated(money)} for {decided} when it was {came}" for decided, came, money in cells if money]
    return f"In {currency}: {', '.join(parts)}." if parts else ""


def _stated(money: float) -> str:
    """An amount as it was written down."""
    return number(money, digits=10)
