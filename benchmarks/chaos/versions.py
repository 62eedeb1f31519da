"""Versions that change under load: promotions, roll-backs, a damaged bundle, a harmful challenger."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

from benchmarks.chaos.app_load import AppLoad, RequestRecord
from benchmarks.chaos.bundles import Behaviour
from benchmarks.chaos.outcome import FaultOutcome
from benchmarks.chaos.serving_stack import PARCELS, ROLLED_OUT, ServingProcess, ServingStack
from noria.core.lifecycle.promotion import PromotionRequest
from noria.core.lifecycle.rollout import GuardReport, RolloutState
from noria.jobs import rollout
from noria.testing.waiting import wait_until

_VERSIONS = 4
"""Number of versions that take turns."""
_GUARD_SECONDS = 30.0
"""In which serving's guard must stop a harmful challenger."""


def swaps(stack: ServingStack, serving: ServingProcess, times: int) -> FaultOutcome:
    """Promotions one after the other, each as soon as the one before answers on every connection."""
    versions = _registered(stack)
    seconds: list[float] = []
    with AppLoad(serving.port, PARCELS, stack.key, "swaps") as load:
        for turn in range(times):
            version = versions[turn % len(versions)]
            if version == stack.champion(PARCELS):
                continue
            stack.promote(PARCELS, version)
            seconds.append(_until_everywhere(load, version))
    stored, _ = stack.stored(load.requests)
    until = "the new version answers everything, once the promotion has returned"
    return FaultOutcome(f"{len(seconds)} promotions", load.requests, stored, seconds, until)


def rollbacks(stack: ServingStack, serving: ServingProcess, times: int) -> FaultOutcome:
    """Versions are promoted and rolled back in turn; the seconds begin with the command."""
    versions = _registered(stack)
    seconds: list[float] = []
    broken: list[str] = []
    with AppLoad(serving.port, PARCELS, stack.key, "rollbacks") as load:
        for turn in range(times):
            before = stack.champion(PARCELS)
            version = next(each for each in versions[turn % len(versions) :] + versions if each != before)
            stack.promote(PARCELS, version)
            load.wait_for_version(version)
            started = time.monotonic()
            if (back := stack.roll_back(PARCELS)) != before:
                broken.append(f"version {back} is champion after the roll-back, not {before}")
            load.wait_for_version(back)
            seconds.append(_last(load.since(started), {version}) - started)
    stored, _ = stack.stored(load.requests)
    until = "the last answer by the version that is rolled back, from the command on"
    return FaultOutcome(f"{times} roll-backs", load.requests, stored, seconds, until, broken=tuple(broken))


def corrupt_bundle(stack: ServingStack, serving: ServingProcess) -> FaultOutcome:
    """A version whose graph was changed after its registration gets the alias, without the checks of the jobs."""
    before = stack.champion(PARCELS)
    version = stack.register(PARCELS, 50).version
    good = stack.register(PARCELS, 51).version
    stack.damage(PARCELS, version)
    with AppLoad(serving.port, PARCELS, stack.key, "corrupt") as load:
        stack.services.registry.set_champion(PARCELS, version)
        load.wait_for(600)
        answered = {each for request in load.requests for each in request.versions}
        started = time.monotonic()
        stack.services.registry.set_champion(PARCELS, good)
        load.wait_for_version(good)
        seconds = [_last(load.since(started), {before}) - started]
    stored, _ = stack.stored(load.requests)
    broken = () if answered == {before} else (f"versions {', '.join(sorted(answered))} answered",)
    until = "the next good version answers everything, from its alias on"
    return FaultOutcome("a damaged bundle gets the alias", load.requests, stored, seconds, until, broken=broken)


def bad_challenger(stack: ServingStack, serving: ServingProcess, behaviour: Behaviour) -> FaultOutcome:
    """A harmful challenger answers half of the entities, until serving's own guard stops it."""
    use_case = stack.services.use_case(ROLLED_OUT)
    number = 60 + list(Behaviour).index(behaviour)
    version = stack.register(ROLLED_OUT, number, behaviour).version
    champion = stack.champion(ROLLED_OUT)
    report = None
    with AppLoad(serving.port, ROLLED_OUT, stack.key, f"challenger{number}") as load:
        begun = rollout.start(
            stack.services, use_case, PromotionRequest(stack.candidate(ROLLED_OUT, version), actor="chaos", reason="chaos")
        )
        assert begun is not None  # the version has no rollout behind it
        rollout_id = begun.id
        with suppress(TimeoutError):
            report = wait_until(lambda: _guard_report(stack, rollout_id), seconds=_GUARD_SECONDS, pause=0.25)
        load.wait_for_version(champion)
        load.wait_for(200)
    ended = rollout.advance(stack.services, use_case, actor="chaos")
    stored, _ = stack.stored(load.requests)
    first = min((request.got for request in load.requests if version in request.versions), default=None)
    seconds = [] if first is None else [_last(load.requests, {version}) - first]
    broken = [] if report else [f"the guard did not stop it in {_GUARD_SECONDS:g} s"]
    broken += [] if ended.state is RolloutState.ROLLED_BACK else [f"the rollout is {ended.state}"]
    why = f" ({report.reason})" if report else ""
    until = f"the last answer by it, from its first on{why}"
    return FaultOutcome(f"a challenger: {behaviour.value}", load.requests, stored, seconds, until, broken=tuple(broken))


def _guard_report(stack: ServingStack, rollout_id: str) -> GuardReport | None:
    """The guard's report on a rollout; None where there is none, or the last report is on another rollout."""
    report = stack.services.registry.guard_report(ROLLED_OUT)
    return report if report is not None and report.rollout == rollout_id else None


def _registered(stack: ServingStack) -> list[str]:
    """The versions that take turns; registered by the first call."""
    return [stack.register(PARCELS, number).version for number in range(10, 10 + _VERSIONS)]


def _until_everywhere(load: AppLoad, version: str) -> float:
    """Seconds from now until the last answer by another version."""
    started = time.monotonic()
    load.wait_for_version(version)
    others = {each for request in load.since(started) for each in request.versions} - {version}
    return _last(load.since(started), others) - started


def _last(requests: Sequence[RequestRecord], versions: set[str]) -> float:
    """Monotonic seconds of the last answer by some versions; of the first request where there is none."""
    first = requests[0].sent if requests else time.monotonic()
    return max((request.got for request in requests if request.versions & versions), default=first)
