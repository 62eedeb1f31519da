"""Jobs as Airflow tasks: the context comes in, the result goes out, references between tasks are parsed on the way."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, get_args, get_type_hints

from airflow.sdk import task

from noria.core.base.results import Result
from noria_airflow.runs import current_context, to_xcom


def noria_task(use_case: str, *, decorator: Callable[..., Any] = task, **options: Any) -> Callable[..., Any]:
    """Turn a function of a `TaskContext` into an Airflow task.

    Airflow sees the function without its first parameter, and shows its docstring where the options have no `doc_md`.
    Arguments whose annotation is a `Result` are parsed from XCom before the function gets them, and a returned `Result`
    becomes XCom and a line of the task's log.

    Args:
        use_case: name of the use case whose context the task gets; it is read again when the task runs.
        decorator: Airflow's own, such as `task.sensor`.
        options: what that decorator takes.

    Example:
        @noria_task("flight_delays", doc_md="Score the interval.")
        def score(run: TaskContext) -> ScoreResult:
            return scoring.score(run.services, run.use_case, run.interval)
    """

    def wrap(function: Callable[..., Any]) -> Any:
        kinds = _result_types(function)

        @wraps(function)
        def body(*args: Any, **kwargs: Any) -> Any:
            bound = signature.bind(*args, **kwargs)
            result = function(current_context(use_case), **_parsed(bound.arguments, kinds))
            return to_xcom(result) if isinstance(result, Result) else result

        signature = _without_context(function)
        body.__signature__ = signature  # type: ignore[attr-defined]  # Airflow binds arguments by it
        body.__annotations__ = {}  # a return annotation would make Airflow push each field as an XCom of its own
        return decorator(**{"doc_md": inspect.getdoc(function), **options})(body)

    return wrap


def _without_context(function: Callable[..., Any]) -> inspect.Signature:
    signature = inspect.signature(function)
    plain = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    return inspect.Signature(plain[1:])


def _result_types(function: Callable[..., Any]) -> Mapping[str, type[Result]]:
    """Parameters that are references or results of other tasks, with their types.

    Raises:
        TypeError: an annotation has a `Result` inside something else: it would stay the plain value that travels.
    """
    hints = get_type_hints(function, localns={"TaskContext": object})
    found = {name: kind for name, kind in hints.items() if isinstance(kind, type) and issubclass(kind, Result)}
    for name in hints.keys() - found.keys():
        if _has_result(hints[name]):
            where = f"{function.__module__}.{function.__qualname__}: {name}: {hints[name]}"
            raise TypeError(f"{where} is not parsed; annotate it with a class of noria.core.base.results alone")
    return found


def _has_result(kind: Any) -> bool:
    return any(issubclass(part, Result) if isinstance(part, type) else _has_result(part) for part in get_args(kind))


def _parsed(arguments: Mapping[str, Any], kinds: Mapping[str, type[Result]]) -> dict[str, Any]:
    return {
        name: kinds[name].model_validate(value) if name in kinds and value is not None else value
        for name, value in arguments.items()
    }
