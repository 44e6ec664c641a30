"""The pace of work: what it is now, not what it was on average."""

from __future__ import annotations

import pytest

from glassmind.progress import Pace


def test_nothing_is_said_before_something_is_known() -> None:
    pace = Pace()
    assert pace.rate() is None and pace.left(5.0, 100) is None
    pace.report(40.0, 0)
    assert pace.rate() is None
    pace.report(40.1, 10)  # a tenth of a second tells little
    assert pace.rate() is None
    pace.report(41.0, 20)
    assert pace.rate() == pytest.approx(20)


def test_what_came_before_the_first_report_does_not_count() -> None:
    """A stage of 64 seconds that compiles for 40 of them must not promise 1,000."""
    pace = Pace()
    for step in range(0, 30, 10):
        pace.report(40.0 + step * 0.03, step)
    assert pace.left(40.6, 790) == pytest.approx((790 - 20) * 0.03)


def test_only_the_last_half_minute_counts() -> None:
    pace = Pace()
    for second in range(100):
        pace.report(second, second)  # 1 a second
    for second in range(100, 141):
        pace.report(second, 99 + 10 * (second - 99))  # then 10
    assert pace.rate() == pytest.approx(10)
    assert len(pace._seen) < 40


def test_time_that_passes_without_a_report_is_taken_off() -> None:
    pace = Pace()
    pace.report(0.0, 0)
    pace.report(10.0, 10)
    assert pace.left(12.0, 20) == pytest.approx(8)
    assert pace.left(99.0, 20) == 0


def test_a_run_that_goes_back_starts_its_pace_anew() -> None:
    pace = Pace()
    pace.report(0.0, 0)
    pace.report(10.0, 100)
    pace.report(11.0, 50)
    assert pace.rate() is None
    pace.report(12.0, 60)
    assert pace.rate() == pytest.approx(10)
