"""Print one line per question."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping

from benchmarks import decisions
from benchmarks.decisions import intervals, pairs, rollouts
from benchmarks.decisions.rate import Rate

QUESTIONS: Mapping[str, Callable[[], Iterator[Rate]]] = {
    "rollouts": rollouts.rates,
    "pairs": pairs.rates,
    "intervals": intervals.rates,
}


def main() -> None:
    """Answer every question, or those that are named."""
    parser = argparse.ArgumentParser(description=decisions.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted(QUESTIONS), nargs="*", default=sorted(QUESTIONS), help="default: all")
    wrong = 0
    for name in parser.parse_args().only:
        for rate in QUESTIONS[name]():
            print(rate, flush=True)
            wrong += not rate.holds
    print(f"{wrong} outside of what they must be" if wrong else "all as they must be")


if __name__ == "__main__":
    main()
