"""
C{make simulate}: many seeds, or one with everything that happens.

    python -m tests.simulation.run --seeds 1000 [--from 0]
    python -m tests.simulation.run --seed 17
    python -m tests.simulation.run --repair 5
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Sequence

from tests.simulation.simulate import VICTIMS, Outcome, Plan, repairPlan, simulate

_TAIL = 60


def main(arguments: Sequence[str]) -> int:
    """
    @return: the exit status: 0 if nothing was wrong with any seed.
    """
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first")
    parser.add_argument("--seed", type=int, help="this one alone, with its events")
    parser.add_argument("--streams", action="store_true", help="append streams only")
    parser.add_argument("--orders", type=int, help="how often data is to be moved")
    parser.add_argument("--mirrors", type=int, help="of each file")
    parser.add_argument(
        "--repair",
        type=int,
        metavar="N",
        help="kill each server at every Nth step of a repair of mirrors",
    )
    parser.add_argument("--chunk", type=int, help="bytes of a chunk of each file")
    options = parser.parse_args(arguments)
    plan = Plan(
        streamsOnly=options.streams,
        mirrors=options.mirrors,
        orders=options.orders,
        chunk=options.chunk,
        layout="flexfiles" if options.chunk else None,
    )
    if options.seed is not None:
        outcome = simulate(options.seed, plan, print)
        _report(outcome, 0)
        return 1 if outcome.violations else 0
    if options.repair:
        return _killInRepair(options.repair)
    begin = time.monotonic()
    failed = []
    for seed in range(options.first, options.first + options.seeds):
        outcome = simulate(seed, plan)
        if outcome.violations:
            failed.append(seed)
            _report(outcome, _TAIL)
        elif (seed - options.first) % 50 == 49:
            print(f"seed {seed}, {time.monotonic() - begin:.0f} s", flush=True)
    print(
        f"{options.seeds} seeds, {len(failed)} failed{': ' if failed else ''}"
        f"{', '.join(map(str, failed))}; {time.monotonic() - begin:.0f} s"
    )
    return 1 if failed else 0


def _killInRepair(stride: int) -> int:
    begin = time.monotonic()
    failed = 0
    for victim in VICTIMS:
        steps = simulate(0, repairPlan(victim, 0)).repairSteps
        for step in range(1, steps + 1, stride):
            outcome = simulate(0, repairPlan(victim, step))
            if outcome.violations:
                failed += 1
                _report(outcome, _TAIL)
                print(f"when {victim} was killed at step {step}")
        seconds = time.monotonic() - begin
        print(
            f"{victim} at {steps} steps: {failed} failed, {seconds:.0f} s", flush=True
        )
    return 1 if failed else 0


def _report(outcome: Outcome, lines: int) -> None:
    for line in outcome.tail[-lines:] if lines else ():
        print(line[:240])
    for violation in outcome.violations:
        print(f"seed {outcome.seed}: {violation}")
    if outcome.violations:
        print(f"again: make simulate SEED={outcome.seed}", flush=True)
    else:
        print(f"seed {outcome.seed}: {outcome.events} events, {outcome.digest}")
        print(f"{outcome.audited} cells of mirrors right, {outcome.excused} excused")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
