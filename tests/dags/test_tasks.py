"""Functions as tasks, without a running Airflow."""

import pytest

pytest.importorskip("airflow.sdk")

from noria.core.base.results import Result, VersionRef
from noria_airflow.tasks import noria_task


def with_optional(run, candidate: VersionRef | None): ...


def with_list(run, candidates: list[VersionRef]): ...


def with_mapping(run, candidates: dict[str, tuple[Result, ...]]): ...


def with_list_returned(run) -> list[VersionRef]: ...


@pytest.mark.parametrize("function", [with_optional, with_list, with_mapping, with_list_returned])
def test_a_result_inside_something_else_is_refused(function):
    with pytest.raises(TypeError, match=rf"{function.__name__}: .* is not parsed"):
        noria_task("parcels")(function)


def test_a_result_alone_is_taken():
    def one(run, candidate: VersionRef, approval: dict[str, str] | None = None) -> VersionRef: ...

    assert noria_task("parcels")(one).function.__name__ == "one"
