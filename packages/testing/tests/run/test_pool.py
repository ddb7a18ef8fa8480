"""Cases in processes of their own: each is run once, and no process runs too many."""

import os

import pytest

from flaxlayer_testing.report.report import Report
from flaxlayer_testing.run.pool import Processes


class Tells:
    """A trial that reports the process that runs it."""

    def recipe(self):
        return Tells, ()

    def written(self, case):
        return str(case)

    def read(self, written):
        return int(written)

    def report(self, case, begin=None):
        return Report(str(case), str(os.getpid()), (), {})


@pytest.fixture
def pool():
    pool = Processes(Tells(), 1, cases_each=2)
    yield pool
    pool.close()


@pytest.mark.slow
def test_a_process_is_replaced_after_its_share_of_cases(pool):
    futures = {case: pool.submit(case) for case in range(5)}
    reports = [pool.result(case, future) for case, future in futures.items()]
    assert [report.subject for report in reports] == ["0", "1", "2", "3", "4"]
    ran = [report.layer for report in reports]
    assert ran[0] == ran[1] != ran[2] == ran[3] != ran[4]
    assert str(os.getpid()) not in ran
