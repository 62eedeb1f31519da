"""Kills between the steps of nomination, rejection, promotion and roll-back: intent, each alias, outcome."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from benchmarks.training_faults.finding import Finding
from benchmarks.training_faults.job_process import JobProcess, run_job
from benchmarks.training_faults.registration import kill_after
from benchmarks.training_faults.sandbox import Sandbox
from noria.core.base.results import VersionRef

_EXPECTED = {
    # job: event that must be there once, champion and challenger in the end
    "nominate": ("nominated", "first", "second"),
    "reject": ("rejected", "first", "none"),
    "promote": ("promoted", "second", "none"),
    "roll_back": ("rolled_back", "first", "none"),
}
_UNTIL_CHAMPION = 3
"""Number of writes up to the champion alias: tag of the outgoing one, previous alias, champion alias."""
_WORDS = {
    "nominate": ("nomination", "moved the alias, wrote the event"),
    "reject": ("rejection", "took the alias away, wrote the event"),
    "promote": ("promotion", "wrote down what had happened, then did what was left"),
    "roll_back": ("roll-back", "wrote down what had happened, then did what was left"),
}


def killed_between_steps(sandbox: Sandbox, job: str) -> Finding:
    """Killed before the first, between any two and after the last write of aliases."""
    seconds: list[float] = []
    broken: list[str] = []
    moment = 0
    while True:
        name, first, second = _prepared(sandbox, job)
        process = kill_after(sandbox.proxy, moment, lambda: JobProcess(sandbox.environment, name, job, second))  # noqa: B023 - called at once
        if not sandbox.proxy.acted.is_set():
            return _finding(job, "the job, between any two of its writes", seconds, broken)
        seconds.append(time.monotonic() - process.started)
        broken += [f"after {moment} writes: {words}" for words in _retried(sandbox, name, job, first, second)]
        moment += 1


def postgres_killed(sandbox: Sandbox, kill: Callable[[], None], start: Callable[[], None]) -> Finding:
    """PostgreSQL is killed when the champion alias has moved and the outcome is not written."""
    name, first, second = _prepared(sandbox, "promote")

    def stop() -> None:
        kill()
        start()

    sandbox.proxy.watch(_UNTIL_CHAMPION, stop)
    process = JobProcess(sandbox.environment, name, "promote", second)
    broken = [] if process.wait() is None else ["the job did not notice"]
    seconds = [time.monotonic() - process.started]
    broken += _retried(sandbox, name, "promote", first, second)
    return _finding("promote", "PostgreSQL, between alias and outcome", seconds, broken)


def _finding(job: str, killed: str, seconds: list[float], broken: list[str]) -> Finding:
    stage, retry = _WORDS[job]
    return Finding(stage, killed, len(seconds), None, max(seconds), retry, None, None, tuple(broken))


def _prepared(sandbox: Sandbox, job: str) -> tuple[str, str, str]:
    """Champion 1, candidate 2, and the jobs that come before this one."""
    name = sandbox.a_use_case(job.replace("_", ""))
    sandbox.proxy.watch()
    run_job(sandbox.environment, name, "baseline")
    first, second = sandbox.trained_twice(name)
    for before in {"reject": ("nominate",), "promote": ("nominate",), "roll_back": ("nominate", "promote")}.get(job, ()):
        run_job(sandbox.environment, name, before, second)
    sandbox.proxy.watch()
    return name, first, second


def _retried(sandbox: Sandbox, name: str, job: str, first: str, second: str) -> list[str]:
    """Run the job again; returns the broken guarantees in words."""
    sandbox.proxy.watch()
    run_job(sandbox.environment, name, job, second)
    if job != "roll_back":  # a second roll-back goes one version further back
        run_job(sandbox.environment, name, job, second)
    event, champion, challenger = _EXPECTED[job]
    versions = {"none": "0"} | {
        word: VersionRef.model_validate_json(one).version for word, one in (("first", first), ("second", second))
    }
    aliases = sandbox.services.registry.alias_state(name)
    events = sandbox.services.audit.events(name)
    about = Counter(str(found.action) for found in events if found.actor == "faults")
    sandbox.services.audit.verify()
    return [
        *([] if about[event] == 1 else [f"{about[event]} events of action {event}"]),
        *([] if aliases.champion == versions[champion] else [f"version {aliases.champion} is champion"]),
        *([] if aliases.challenger == versions[challenger] else [f"version {aliases.challenger} is challenger"]),
        *([] if not about["found_moved"] else ["the audit trail says that the alias was moved without Noria"]),
    ]
