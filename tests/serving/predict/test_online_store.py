"""By entity: the latest features of the feature table itself, through a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import psycopg
import pytest
from pydantic import SecretStr

from noria.settings import Settings
from tests.serving.bundles import INSTANCE, USE_CASE, Bundle
from tests.serving.conftest import StartedServing

pytestmark = pytest.mark.slow

PATH = f"/v1/{USE_CASE}/predict"
ROWS = """
    create schema if not exists features;
    create table features.ftr_parcels (parcel_id {kind}, promised_at timestamptz, weight numeric, hour int, depot text);
    insert into features.ftr_parcels values
        ({first}, '2024-05-01', 1, 3, 'south'),
        ({first}, '2024-05-03', 3.5, 19, 'north'),
        ({second}, '2024-05-02', null, 7, null),
        ({third}, '2024-05-02', 2, 1, 'north');
    insert into ops.quarantined values ('parcels', '2024-05-03 12:00', '2024-05-04');
"""


def fill(url: str, kind: str = "text", names: tuple[str, ...] = ("'P-1'", "'P-2'", "'P-3'")) -> None:
    first, second, third = names
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(ROWS.format(kind=kind, first=first, second=second, third=third))


@pytest.fixture
def served(
    serve: Callable[[Settings], StartedServing],
    settings: Settings,
    table: str,
    on_disk: Callable[..., None],
    make_bundle: Callable[..., Bundle],
) -> Iterator[StartedServing]:
    """A server of a trained version, whose warehouse has Noria's tables and no features yet."""
    on_disk(make_bundle(1), "3")
    return serve(settings.model_copy(update={"warehouse_url": SecretStr(table)}))


def ask(server: StartedServing, *entities: str | int, query: str = "") -> httpx.Response:
    return server.client.post(f"{PATH}{query}", json={"entities": list(entities)})


def test_an_app_may_send_only_the_id(served: StartedServing, table: str) -> None:
    fill(table)
    answer = ask(served, "P-1", "P-2", "P-1")
    assert answer.status_code == 200, answer.text
    scores = [prediction["score"] for prediction in answer.json()["predictions"]]
    expected = served.predict(**INSTANCE)["score"], served.predict(weight=None, hour=7, depot=None)["score"]
    assert scores == pytest.approx([expected[0], expected[1], expected[0]], abs=1e-6)


def test_looked_up_features_are_in_the_log(served: StartedServing, table: str, eventually: Callable[..., None]) -> None:
    fill(table)
    identity = ask(served, "P-1").json()["predictions"][0]["id"]

    def found() -> object:
        with psycopg.connect(table) as connection:
            return connection.execute("select entity, features from ops.predictions where id = %s", (identity,)).fetchone()

    eventually(found)
    assert found() == ("P-1", {"weight": 3.5, "hour": 19.0, "depot": "north"})


def test_unknown_entities_are_named_all_at_once(served: StartedServing, table: str) -> None:
    fill(table)
    answer = ask(served, "P-9", "P-1", "P-8")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:noria:problem:unknown-entity")
    assert [error["where"] for error in answer.json()["errors"]] == ["entities[0]", "entities[2]"]


def test_an_interval_in_quarantine_is_left_alone(served: StartedServing, table: str) -> None:
    """P-1 has a newer row there; the one before it counts."""
    fill(table)
    with psycopg.connect(table, autocommit=True) as connection:
        connection.execute("insert into features.ftr_parcels values ('P-1', '2024-05-03 13:00', 9, 1, 'south')")
    score = ask(served, "P-1").json()["predictions"][0]["score"]
    assert score == pytest.approx(served.predict(**INSTANCE)["score"], abs=1e-6)


def test_keys_may_be_numbers_and_a_text_among_them_is_unknown(served: StartedServing, table: str) -> None:
    fill(table, "bigint", ("1", "2", "3"))
    assert ask(served, 1, "2").status_code == 200
    answer = ask(served, 1, "two", str(10**30))
    assert [error["where"] for error in answer.json()["errors"]] == ["entities[1]", "entities[2]"]


def test_entities_before_dbt_built_the_features_is_503_with_the_remedy(served: StartedServing, table: str) -> None:
    answer = ask(served, "P-1")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:noria:problem:features-unavailable")
    assert "parcels__data" in answer.json()["detail"]
    fill(table)
    assert ask(served, "P-1").status_code == 200


def test_without_a_warehouse_instances_are_still_answered(
    serve: Callable[[Settings], StartedServing], settings: Settings
) -> None:
    server = serve(settings)
    answer = ask(server, "P-1")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "NORIA_WAREHOUSE_URL is not set" in answer.json()["detail"]
    assert server.predict(hour=19)["decision"] is True


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"entities": []}, 400),
        ({"entities": "P-1"}, 400),
        ({"entities": ["P-1"], "instances": [INSTANCE]}, 400),
        ({"entities": [None, True]}, 422),
        ({"entities": ["P-1"] * 1001}, 413),
    ],
)
def test_entities_malformed_names_the_mistake(
    serve: Callable[[Settings], StartedServing], settings: Settings, body: object, status: int
) -> None:
    assert serve(settings).client.post(PATH, json=body).status_code == status


def test_entities_may_be_explained_too(served: StartedServing, table: str) -> None:
    fill(table)
    assert ask(served, "P-1", query="?reasons=2").json()["type"] == "urn:noria:problem:no-reasons"
