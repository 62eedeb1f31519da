"""Steps of `make demo`, in order. Each step may find its work done by an earlier demo, and then says so and goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from noria.bootstrap import Services
from noria.core.base.errors import NoriaError
from noria.core.base.formatting import day
from noria.core.base.interval import Interval
from noria.core.lifecycle.registry import ModelVersion
from noria.core.lifecycle.rollout import RolloutState
from noria.core.use_case import UseCase
from noria.demo.airflow_api import AirflowApi, PipelineError, Run
from noria.demo.business_app import AppTraffic, BusinessApp
from noria.demo.rollout_teller import RolloutTeller

_KINDS = ("data", "score", "monitor")
_SWAP_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Script:
    """Script of the demo: a use case, the history to learn from, and the time after it, in which the model is live."""

    use_case: str
    history: Interval
    live: Interval
    requests: int


FLIGHTS_OF_2013 = Script(
    use_case="flight_delays",
    history=Interval.parse("2013-01-01", "2013-05-01"),
    live=Interval.parse("2013-05-01", "2013-07-01"),
    requests=3000,
)


@dataclass(frozen=True)
class StoryOutcome:
    """Figures of the demo, for the closing table."""

    traffic: AppTraffic
    first: ModelVersion
    last: ModelVersion
    swap_seconds: tuple[float, ...]


@dataclass
class Story:
    """Tells and does the demo.

    Args:
        script: what to play.
        services: settings and adapters of the running stack.
        airflow: client of its Airflow.
        console: where to tell it.
    """

    script: Script
    services: Services
    airflow: AirflowApi
    console: Console

    @property
    def use_case(self) -> UseCase:
        """The use case of the script."""
        return self.services.catalog.get(self.script.use_case)

    def tell(self) -> StoryOutcome:
        """Run the whole loop through the real scheduler.

        Raises:
            NoriaError: a step failed; says which and why.
        """
        script, use_case = self.script, self.use_case
        self._say(f"[bold]{use_case.title}[/]", f"If the model says yes: {use_case.business.decision}.")
        self._wake_pipelines()
        served = self._served()
        self._say("Serving answers already", f"version {served['version']}: {served['kind']}")
        self._fill(script.history, f"History {script.history}: ingest, check, transform, score")
        (*_, newest) = use_case.schedule.data.intervals(script.history)
        with BusinessApp(self.services.settings.serving_url, use_case.name, self._entities(newest)) as app:
            self._say("A business app asks about real entities from now on", "60 requests a second, one by one")
            first, first_swap = self._train_first()
            self._fill(script.live, f"New data {script.live}: scored, judged, reported by mail")
            app.ask_about(self._entities(use_case.schedule.data.interval_starting(script.live.start)))
            self._send(app)
            last, last_swap = self._retrain(first)
        traffic = app.traffic
        if traffic.failed:
            raise PipelineError(f"{traffic.failed} of the business app's requests failed; the first: {traffic.errors[0]}")
        return StoryOutcome(
            traffic, first, last, tuple(seconds for seconds in (first_swap, last_swap) if seconds is not None)
        )

    def _wake_pipelines(self) -> None:
        wanted = {f"{self.script.use_case}__{kind}" for kind in (*_KINDS, "train")}
        with self._progress("Airflow reads the pipelines", len(wanted)) as advance:
            deadline = time.monotonic() + 120
            while missing := wanted - self.airflow.dag_ids():
                if errors := self.airflow.import_errors():
                    raise PipelineError("Airflow cannot read the pipelines:\n" + "\n".join(errors))
                if time.monotonic() > deadline:
                    raise PipelineError(f"Airflow did not find {', '.join(sorted(missing))} in 120 s; see `noria logs`")
                advance(len(wanted) - len(missing))
                time.sleep(1)
            for dag_id in sorted(wanted):
                self.airflow.unpause(dag_id)
            advance(len(wanted))

    def _fill(self, span: Interval, what: str) -> None:
        """Backfill the data pipeline; its score and monitor runs follow by themselves, one per interval."""
        intervals = self.use_case.schedule.data.intervals(span)
        starts = {interval.start for interval in intervals}
        total = len(_KINDS) * len(intervals)
        with self._progress(what, total) as advance:
            before = self._about(starts)
            for run in before:
                if run.state == "failed":
                    self.airflow.retry(run)
            if sum(run.dag_id.endswith("__data") for run in before) < len(intervals):
                self.airflow.backfill(f"{self.script.use_case}__data", intervals, max_active_runs=3)
            self.airflow.wait(
                lambda: self._about(starts),
                expected=total,
                what=what,
                on_change=lambda runs: advance(self._succeeded(runs)),
            )

    def _about(self, starts: set[datetime]) -> tuple[Run, ...]:
        """The newest run of each kind and interval."""
        newest: dict[tuple[str, datetime], Run] = {}
        for kind in _KINDS:
            for run in self.airflow.runs(f"{self.script.use_case}__{kind}"):
                if run.partition in starts and run.partition is not None:
                    newest.setdefault((kind, run.partition), run)
        return tuple(newest.values())

    @staticmethod
    def _succeeded(runs: Sequence[Run]) -> int:
        return sum(run.state == "success" for run in runs)

    def _train_first(self) -> tuple[ModelVersion, float | None]:
        as_of = self.script.history.end
        what = f"Training as of {day(as_of)}: search, evaluate, check its gates"
        if done := self._trained(as_of):
            self._say(what, f"version {done.version} is there already")
            return done, None
        run_id = f"demo_{as_of:%Y-%m-%d}_{self.services.clock.now():%H%M%S}"
        self.airflow.trigger(f"{self.script.use_case}__train", run_id, {"as_of": f"{as_of:%Y-%m-%d}"})
        self._await_training(what, run_id)
        return self._await_swap(as_of)

    def _retrain(self, first: ModelVersion) -> tuple[ModelVersion, float | None]:
        requested = self._retrain_request()
        if requested is None:
            raise PipelineError("monitoring did not ask for a new model; see the verdicts in the mails")
        as_of, reason = requested
        self._say("Monitoring asked for a new model", reason)
        if done := self._trained(as_of):
            self._say(f"Training as of {day(as_of)}", f"version {done.version} is there already")
            return done, None
        try:
            self._await_training(f"Airflow retrains as of {day(as_of)}, while requests go on", None)
        except PipelineError:
            rollout = self.services.registry.rollout(self.script.use_case)
            if rollout is None or rollout.state is not RolloutState.ROLLED_BACK:
                raise
            return first, None  # the rollout's teller has said why
        if self.services.registry.champion(self.script.use_case).version == first.version:
            self._say("A gate of the new model failed", "the champion goes on serving")
            return first, None
        return self._await_swap(as_of)

    def _await_training(self, what: str, run_id: str | None) -> None:
        def chosen() -> Iterator[Run]:
            runs = self.airflow.runs(f"{self.script.use_case}__train")
            return (run for run in runs if run.run_id == run_id or (run_id is None and run.kind == "asset_triggered"))

        rollout = RolloutTeller(self.services, self.script.use_case, lambda line: self._say("", line))
        with self._progress(what, 1) as advance:
            (run, *_) = self.airflow.wait(chosen, expected=1, what=what, on_change=lambda _runs: rollout.look())
            rollout.look()
            advance(1)
        self._say("", str(self.airflow.result(run, "fit_and_register").get("summary", "")))

    def _await_swap(self, as_of: datetime) -> tuple[ModelVersion, float]:
        """Wait until serving answers with the promoted version; the seconds since its promotion."""
        version = self._trained(as_of)
        if version is None:
            raise PipelineError(f"training as of {day(as_of)} ended without a promoted version; see the gates in Airflow")
        deadline = time.monotonic() + _SWAP_TIMEOUT_SECONDS
        while self._served()["version"] != version.version:
            if time.monotonic() > deadline:
                raise PipelineError(f"serving did not swap to version {version.version} in {_SWAP_TIMEOUT_SECONDS:.0f} s")
            time.sleep(0.1)
        promoted = next(
            event for event in reversed(self.services.audit.events(self.script.use_case)) if event.version == version.version
        )
        seconds = (self.services.clock.now() - promoted.at).total_seconds()
        self._say(f"Serving swapped to version {version.version}", f"within {seconds:.1f} s of its promotion")
        return version, seconds

    def _trained(self, as_of: datetime) -> ModelVersion | None:
        """The version in force for what begins at `as_of`, if it was trained as of then."""
        number = self.services.audit.version_in_force(self.script.use_case, as_of)
        version = self.services.registry.version(self.script.use_case, number)
        return version if version.as_of == as_of else None

    def _retrain_request(self) -> tuple[datetime, str] | None:
        query = "select as_of, reason from ops.retrain_requests where use_case = %(use_case)s order by as_of desc limit 1"
        with self.services.warehouse.engine.connect() as connection:
            row = connection.exec_driver_sql(query, {"use_case": self.script.use_case}).first()
        return (row.as_of, row.reason) if row else None

    def _entities(self, interval: Interval) -> list[dict[str, Any]]:
        """Real entities of an interval, evenly spread over it, as a booking system would send them."""
        from noria.data.tables.features import read_features

        use_case = self.use_case
        rows = read_features(self.services.warehouse, use_case, interval)
        step = max(1, rows.num_rows // self.script.requests)
        wanted = [use_case.entity, *use_case.features.names]
        return [{name: row[name] for name in wanted} for row in rows.take(list(range(0, rows.num_rows, step))).to_pylist()]

    def _send(self, app: BusinessApp) -> None:
        wanted = self.script.requests
        before = app.traffic.answered + app.traffic.failed
        with self._progress(f"The business app asks about {wanted:,} of the new entities", wanted) as advance:
            while (seen := app.traffic.answered + app.traffic.failed - before) < wanted:
                advance(seen)
                time.sleep(0.2)
            advance(wanted)

    def _served(self) -> dict[str, Any]:
        """Description of the version that serves."""
        try:
            response = httpx.get(f"{self.services.settings.serving_url}/v1/{self.script.use_case}", timeout=10.0)
            response.raise_for_status()
        except httpx.HTTPError as error:
            raise NoriaError(f"serving does not answer at {self.services.settings.serving_url}: {error}") from error
        return dict(response.json()["serves"])

    def _say(self, what: str, detail: str) -> None:
        if what:
            self.console.print(f"[green]●[/] {what}")
        if detail:
            self.console.print(f"  [dim]{detail}[/]")

    @contextmanager
    def _progress(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        if not self.console.is_terminal:
            yield self._lines(what, total)
            return
        columns = (SpinnerColumn(finished_text="[green]●[/]"), TextColumn("{task.description}"), BarColumn(bar_width=20))
        with Progress(*columns, MofNCompleteColumn(), TimeElapsedColumn(), console=self.console) as progress:
            task = progress.add_task(what, total=total)
            yield lambda done: progress.update(task, completed=done)

    def _lines(self, what: str, total: int) -> Callable[[int], None]:
        """A line for each tenth that is done, for a log rather than a screen."""
        self.console.print(f"● {what}")
        shown = 0

        def advance(done: int) -> None:
            nonlocal shown
            if done * 10 // total > shown * 10 // total:
                shown = done
                self.console.print(f"  {done:,} of {total:,}")

        return advance
