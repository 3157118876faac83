import pytest

from arith.process.progress import Live, Plain


def test_plain_progress_writes_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    shown = Plain("train rope", 100, clock=lambda: now)
    for step in range(1, 101):
        now += 0.5
        shown.update(step, "loss 1.0")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[0] == "train rope 10/100 5 s, 45 s left loss 1.0"
    assert lines[-1] == "train rope 100/100 50 s, 0 s left loss 1.0"


def test_live_progress_runs() -> None:
    with Live("train rope", 3) as shown:
        for step in range(4):
            shown.update(step, "loss 1.0")
