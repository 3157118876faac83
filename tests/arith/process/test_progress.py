import re
import time

import pytest

from arith.process.progress import Live, Plain


def test_plain_progress_writes_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    shown = Plain("train rope", 100, clock=lambda: now)
    for step in range(1, 101):
        now += 0.5
        shown.update(step, "loss 1.0")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11
    assert lines[0] == "train rope 2/100 1 s, 49 s left loss 1.0"
    assert lines[1] == "train rope 12/100 6 s, 44 s left loss 1.0"
    assert lines[-1] == "train rope 100/100 50 s, 0 s left loss 1.0"


def test_live_progress_runs() -> None:
    with Live("train rope", 3) as shown:
        for step in range(4):
            shown.update(step, "loss 1.0")


def test_a_job_that_does_not_report_is_seen_to_work(capsys: pytest.CaptureFixture[str]) -> None:
    said, begun = "", time.monotonic()
    with Plain("ask", 10):
        while not said and time.monotonic() - begun < 20:  # one second, but for a crowded machine
            time.sleep(0.1)
            said = capsys.readouterr().err
    assert re.fullmatch(r"ask 0/10 \d+ s\n", said)


@pytest.mark.parametrize("kind", [Plain, Live])
def test_a_brief_job_is_not_worth_a_line(kind: type[Plain] | type[Live], capsys: pytest.CaptureFixture[str]) -> None:
    with kind("ask", 10, brief=True) as shown:
        shown.update(10)
    assert not capsys.readouterr().err
