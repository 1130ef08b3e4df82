"""
Run the tests with trial and end with one plain line of counts.

C{python -m tests.run [names]}; without names, everything. What is skipped is
listed by name with its reason, so that nothing passes in silence.
"""

from __future__ import annotations

import sys
from typing import Sequence

from twisted.trial import reporter
from twisted.trial.runner import TestLoader, TrialRunner


def summaryLine(result: reporter.Reporter) -> str:
    """
    The last line of a run. An expected failure has passed; an unexpected success
    has failed.
    """
    passed = result.successes + len(result.expectedFailures)
    failed = len(result.failures) + len(result.errors)
    failed += len(result.unexpectedSuccesses)
    return f"{passed} passed, {failed} failed, {len(result.skips)} skipped"


def main(arguments: Sequence[str]) -> int:
    """
    @param arguments: dotted names of packages, modules, classes or tests.
    @return: the exit status: 0 if nothing failed and something ran.
    """
    suite = TestLoader().loadByNames(list(arguments) or ["tests"], recurse=True)
    runner = TrialRunner(
        reporter.TreeReporter, realTimeErrors=True, workingDirectory="_trial_temp"
    )
    result = runner.run(suite)
    print(summaryLine(result), flush=True)
    return 0 if result.wasSuccessful() and result.testsRun else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
