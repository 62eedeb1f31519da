"""Checks across fields of a use case: names and values must agree with each other."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence

from noria.core.base.errors import RuleError
from noria.core.use_case import ConfusionValue, SplitBy, Task, UnitValue, UseCase, Value
from noria.core.use_case.metric_catalog import gate_metrics, search_metrics
from noria.core.use_case.pseudonym import check_privacy
from noria.core.use_case.rule import Rule

Finding = tuple[str, str, str]
"""Field, what was found, what was expected."""
_VALUE_FIELDS = {
    Task.BINARY_CLASSIFICATION: "true_positive, false_positive, false_negative and true_negative",
    Task.MULTICLASS: "a row of money per class: {<decided>: {<actual>: money}}",
    Task.REGRESSION: "over and under, money per unit",
}
_RULES = {
    Task.BINARY_CLASSIFICATION: "scheduled_hour >= 18",
    Task.MULTICLASS: "'late' if wind_speed > 30 else 'on_time'",
    Task.REGRESSION: "first(room_price_30d, 95)",
}


def cross_check(use_case: UseCase) -> Iterator[Finding]:
    """Findings across the fields of a use case: field, what was found, what was expected.

    Example:
        >>> wrong = use_case.gates[0].model_copy(update={"metric": "recal"})
        >>> list(cross_check(use_case.model_copy(update={"gates": (wrong,)})))
        [('gates[0].metric', "'recal' is not of binary_classification", 'did you mean recall?')]
        >>> training = use_case.training.model_copy(update={"metric": "rmse"})
        >>> next(cross_check(use_case.model_copy(update={"training": training})))[:2]
        ('training.metric', "'rmse' is not of binary_classification")
    """
    yield from _check_features(use_case)
    yield from _check_task(use_case)
    yield from _check_rule(use_case)
    yield from check_privacy(use_case)
    yield from _check_gates_section(use_case)
    yield from _check_sources(use_case)
    yield from _check_schedule(use_case)


def _check_features(use_case: UseCase) -> Iterator[Finding]:
    features = use_case.features
    if not features.names:
        yield "features", "no feature is listed", "list at least one under numeric or categorical"
    for name in sorted(set(features.numeric) & set(features.categorical)):
        yield f"features.categorical.{name}", "also listed as numeric", "list a feature once"
    for name in features.names:
        if name in {use_case.entity, use_case.event_time, use_case.label.column}:
            yield f"features.{name}", "is the entity, the event time or the label", "a model may not look at it; remove it"
    for field in ("segments", "protected"):
        for index, name in enumerate(getattr(use_case, field)):
            if name not in features.categorical:
                yield f"{field}[{index}]", f"{name!r} is no categorical feature", suggest(name, features.categorical)


def _check_sources(use_case: UseCase) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, source in enumerate(use_case.sources):
        if source.name in seen:
            yield f"sources[{index}].name", f"{source.name!r} is used twice", "give each source its own name"
        seen.add(source.name)
    if all(source.event_time is None for source in use_case.sources):
        yield "sources", "no source has an event_time", "set event_time on the source that brings new rows each interval"


def _check_schedule(use_case: UseCase) -> Iterator[Finding]:
    schedule, retrain = use_case.schedule, use_case.monitoring.retrain
    if schedule.end is not None and schedule.end <= schedule.start:
        yield "schedule.end", f"found {schedule.end}", f"expected a day after schedule.start ({schedule.start})"
    if len(schedule.train.split()) != 5:
        yield "schedule.train", f"found {schedule.train!r}", "expected a cron expression of five fields: '0 6 2 */3 *'"
    if not 1 <= retrain.needed <= retrain.window:
        yield "monitoring.retrain.after", f"found {retrain.after!r}", "expected k of n with 1 <= k <= n, such as 2 of 3"


def _check_task(use_case: UseCase) -> Iterator[Finding]:
    """Label, money and search metric must be those of the task."""
    task, value = use_case.task, use_case.business.value
    kind = _task_of(value)
    if kind is not task:
        yield "business.value", f"is the money of a {kind} use case", f"expected {_VALUE_FIELDS[task]}, since task is {task}"
    yield from _check_direction(value)
    yield from _check_label(use_case)
    metric = use_case.training.metric
    if metric is not None and metric not in search_metrics(task):
        yield "training.metric", f"{metric!r} is not of {task}", f"expected one of {', '.join(search_metrics(task))}"
    yield from _check_split(use_case)
    yield from _check_anchor(use_case)


def _check_direction(value: Value) -> Iterator[Finding]:
    """A threshold acts from a probability upwards, so acting must pay where it happens, if it pays anywhere."""
    if not isinstance(value, ConfusionValue):
        return
    if_it_happens, if_not = value.true_positive - value.false_negative, value.false_positive - value.true_negative
    if if_it_happens <= 0 < if_not:
        expected = "expected acting to pay where it happens: let the label say the opposite, or swap the amounts"
        yield "business.value", "acting pays only where it does not happen", expected
    elif if_it_happens <= 0 and if_not <= 0:
        yield "business.value", "acting never pays", "expected true_positive above false_negative, or there is no decision"


def _check_label(use_case: UseCase) -> Iterator[Finding]:
    task, label = use_case.task, use_case.label
    if task.is_multiclass:
        yield from _check_classes(use_case)
    elif label.classes:
        yield "label.classes", f"task is {task}", "remove it, or set task: multiclass"
    if label.unit and not task.is_regression:
        yield "label.unit", f"task is {task}", "remove it: only a number has a unit"


def _check_split(use_case: UseCase) -> Iterator[Finding]:
    split = use_case.training.split
    if split.by is SplitBy.GROUP and split.group not in use_case.features.categorical:
        yield "training.split.group", f"found {split.group!r}", suggest(str(split.group), use_case.features.categorical)
    if split.by is not SplitBy.GROUP and split.group is not None:
        yield "training.split.group", f"rows are split by {split.by}", "remove it, or set by: group"


def _check_anchor(use_case: UseCase) -> Iterator[Finding]:
    """The anchor of a number reads features, and is itself a number above 0."""
    where, anchor = "training.anchor", use_case.training.anchor
    if anchor is None:
        return
    if not use_case.task.is_regression:
        yield where, f"task is {use_case.task}", "remove it: only a number can be a multiple of it"
        return
    example = f"write an expression such as: {_RULES[use_case.task]}"
    try:
        rule = Rule(anchor)
    except RuleError as error:
        yield where, str(error), example
        return
    for name in sorted(rule.names - set(use_case.features.names)):
        yield where, f"{name!r} is not a feature", suggest(name, use_case.features.names)
    if not rule.reads:
        yield where, f"{anchor!r} reads no feature", f"without one it is no help; {example}"
    elif (empty := rule.value({})) is not None and not (type(empty) in {int, float} and empty > 0):
        yield where, f"gives {empty!r} where everything is missing", f"expected a number above 0; {example}"


def _check_rule(use_case: UseCase) -> Iterator[Finding]:
    """The baseline reads features, and ends in what the task predicts, even where everything is missing."""
    example = _RULES[use_case.task]
    try:
        rule = Rule(use_case.business.baseline)
    except RuleError as error:
        yield "business.baseline", str(error), f"write a rule such as: {example}"
        return
    for name in sorted(rule.names - set(use_case.features.names)):
        yield "business.baseline", f"{name!r} is not a feature", suggest(name, use_case.features.names)
    if use_case.task.is_regression:
        empty = rule.value({})
        if isinstance(empty, bool) or not isinstance(empty, int | float):
            yield "business.baseline", f"gives {empty!r} where everything is missing", f"end it in a number: {example}"
    if use_case.task.is_multiclass:
        for outcome in rule.outcomes:
            if outcome not in use_case.label.classes:
                found = "ends in something that is computed" if outcome is None else f"can end in {outcome!r}"
                yield "business.baseline", found, f"expected a class of label.classes, as in: {example}"


def _check_gates_section(use_case: UseCase) -> Iterator[Finding]:
    """Gates have one condition each, on a metric of the task; segments and risks that they speak of are there."""
    fairness = ("demographic_parity", "equalised_odds", "disparate_impact")
    for index, gate in enumerate(use_case.gates):
        where, conditions = f"gates[{index}]", gate.conditions
        if len(conditions) != 1:
            found = " and ".join(conditions) or "no condition"
            yield (
                where,
                found,
                "set exactly one of at_least, at_most, better_than, not_worse_than, worst_segment_*, worst_month_*",
            )
        if gate.metric not in gate_metrics(use_case.task):
            yield (
                f"{where}.metric",
                f"{gate.metric!r} is not of {use_case.task}",
                suggest(gate.metric, gate_metrics(use_case.task)),
            )
        if any(name.startswith("worst_segment") for name in conditions) and not use_case.segments:
            yield f"{where}.{next(iter(conditions))}", "there are no segments", "list segments, or use at_least"
        if gate.metric in fairness and not use_case.protected:
            yield f"{where}.metric", "no feature is protected", "list the features under protected"
    watched = {gate.metric for gate in use_case.gates}
    for index, risk in enumerate(use_case.risks):
        if risk.gate is not None and risk.gate not in watched:
            yield f"risks[{index}].gate", f"no gate is on {risk.gate!r}", suggest(risk.gate, sorted(watched))
    yield from _check_rollout(use_case)


def _check_rollout(use_case: UseCase) -> Iterator[Finding]:
    """A challenger's share may only grow: an entity that it answered once stays with it."""
    if use_case.rollout is None:
        return
    steps = use_case.rollout.steps
    if not steps or list(steps) != sorted(set(steps)) or steps[0] < 1 or steps[-1] > 100:
        yield "rollout.steps", f"found {list(steps)}", "expected rising percentages from 1 to 100, such as [5, 25, 100]"
    if use_case.rollout.shadow_for >= use_case.rollout.stop.at_most:
        yield "rollout.stop.at_most", "is over before rollout.shadow is", "allow more time, or shadow for less"
    if use_case.rollout.idle and use_case.rollout.idle >= use_case.rollout.stop.at_most:
        yield "rollout.stop.at_most", "is over before rollout.idle is", "allow more time, or a shorter idle"


def suggest(name: str, known: Sequence[str] | Mapping[str, object]) -> str:
    """Suggestion instead of a name that is not known.

    Example:
        >>> suggest("wieght", ["weight", "hour"])
        'did you mean weight?'
        >>> suggest("street", ["weight", "hour"])
        'known: weight, hour'
    """
    close = difflib.get_close_matches(name, list(known), 1)
    if close:
        return f"did you mean {close[0]}?"
    return f"known: {', '.join(known)}" if known else "remove it"


def _check_classes(use_case: UseCase) -> Iterator[Finding]:
    classes, value = use_case.label.classes, use_case.business.value
    if len(set(classes)) != len(classes) or len(classes) < 3:
        yield "label.classes", f"found {list(classes)}", "list at least three different classes (two: binary_classification)"
    if isinstance(value, ConfusionValue | UnitValue):
        return
    places: dict[str, Collection[str]] = {"business.value": value}
    for place, names in {**places, **{f"business.value.{name}": row for name, row in value.items()}}.items():
        for name in sorted(set(classes) - set(names)):
            yield place, f"has no {name!r}", "give money for every class"
        for name in sorted(set(names) - set(classes)):
            yield f"{place}.{name}", "is no class", suggest(name, classes)


def _task_of(value: Value) -> Task:
    if isinstance(value, ConfusionValue):
        return Task.BINARY_CLASSIFICATION
    return Task.REGRESSION if isinstance(value, UnitValue) else Task.MULTICLASS
