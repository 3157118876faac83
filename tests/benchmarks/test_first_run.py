"""The first minutes on a GPU, with steps and compilers that take no time: limits, order, and what a kill leaves."""

import contextlib
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from first_run import running, smoke
from first_run.running import Session, Step

WRITES = (
    "import pathlib, sys; folder = pathlib.Path(sys.argv[-1]); (folder / 'found.json').write_text('1'); print('hi')"
)
# Ignores SIGTERM, and has started a process that does too.
STUBBORN = """
import pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
(pathlib.Path(sys.argv[-1]) / "child.json").write_text(str(child.pid))
time.sleep(60)
"""
TELLS = "import json, os, sys; open(sys.argv[-1] + '/environment.json', 'w').write(json.dumps({'A': 'one', 'B': None}))"
READS = "import os, sys; open(sys.argv[-1] + '/read.json', 'w').write(repr((os.environ['A'], 'B' in os.environ)))"


def step(name: str, code: str, seconds: float = 30) -> Step:
    return Step(name, (sys.executable, "-c", code), seconds)


def opened(path: Path) -> dict[str, bytes]:
    """All files of an archive, in its order."""
    with tarfile.open(path) as packed:
        return {entry.name: packed.extractfile(entry).read() for entry in packed}  # type: ignore[union-attr]


def outcomes(path: Path) -> dict[str, str]:
    return {own["step"]: own["outcome"] for own in json.loads(opened(path)["summary.json"])["steps"]}


def gone(process: int) -> bool:
    """Whether a process ends, at once or soon."""
    for _ in range(100):
        with contextlib.suppress(FileNotFoundError, IndexError):
            if Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                time.sleep(0.05)
                continue
        return True
    return False


def test_no_step_hides_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "GRACE", 0.3)
    monkeypatch.setattr(running, "TICK", 0.2)
    steps = [
        step("first", WRITES),
        step("fails", "raise SystemExit('no kernel image')"),
        step("dies", "import os; os.abort()"),
        step("late", STUBBORN, -89),  # the time that earlier steps left is used up
        step("last", WRITES),
    ]
    # Long enough that its child has begun, on a busy machine too.
    steps[3] = Step("late", steps[3].command, 5 - 3 * 30)
    session = Session(steps, tmp_path / "work", tmp_path / "a.tar.gz", {"began": "now"})
    session.run()
    assert outcomes(session.archive) == {
        "first": "done",
        "fails": "failed",
        "dies": "failed",
        "late": "late",
        "last": "done",
    }
    files = opened(session.archive)
    assert list(files) == [
        "summary.json",
        "first/found.json",
        "late/child.json",
        "last/found.json",
        *(f"{name}/log" for name in outcomes(session.archive)),
    ]
    summary = json.loads(files["summary.json"])
    assert summary["began"] == "now"
    assert summary["steps"][1]["said"] == ["no kernel image"]
    assert [own["exit"] for own in summary["steps"]] == [0, 1, -6, -9, 0]
    assert gone(int(files["late/child.json"]))


def test_a_step_settles_what_later_ones_have_in_their_environment(tmp_path: Path) -> None:
    steps = [step("tells", TELLS), step("reads", READS)]
    session = Session(steps, tmp_path / "work", tmp_path / "a.tar.gz", {}, {**os.environ, "B": "two"})
    session.run()
    assert opened(session.archive)["reads/read.json"] == b"('one', False)"


def kill_at(file: str, command: list[str], archive: Path, sent: signal.Signals, **how: Any) -> None:
    """Run a command until a file is in its archive, and send it a signal then."""
    process = subprocess.Popen(command, **how)
    until = time.monotonic() + 200
    try:
        while not (archive.exists() and file in opened(archive)):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(sent)
        assert process.wait(30) != 0
    finally:
        process.kill()


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_kill_at_any_step_leaves_those_before(root: Path, tmp_path: Path, at: int, sent: signal.Signals) -> None:
    waits = f"{WRITES}; import os, time; (folder / 'own.json').write_text(str(os.getpid())); time.sleep(60)"
    code = f"""
import pathlib, signal, sys
from first_run import running
running.TICK = 0.1
codes = [{waits!r} if i == {at} else {WRITES!r} for i in range(3)]
steps = [running.Step(f"step-{{i}}", (sys.executable, "-c", own), 60) for i, own in enumerate(codes)]
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
running.Session(steps, pathlib.Path("work").resolve(), pathlib.Path("a.tar.gz").resolve(), {{}}).run()
"""
    archive = tmp_path / "a.tar.gz"
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'benchmarks'}"}
    command = [sys.executable, "-c", code]
    kill_at(f"step-{at}/own.json", command, archive, sent, cwd=tmp_path, env=environment)
    wanted = ["done"] * at + ["running"] + ["not reached"] * (2 - at)
    assert list(outcomes(archive).values()) == wanted
    files = opened(archive)
    assert all(f"step-{i}/found.json" in files for i in range(at + 1))
    assert gone(int(files[f"step-{at}/own.json"]))
    assert [path.name for path in tmp_path.iterdir() if "building" in path.name] == []


def test_configurations_are_those_of_the_smoke_test() -> None:
    given = smoke.configurations(tiny=False)
    assert len(given) == 12
    assert {case.width for case in given} == {16, 32, 64, 128}
    assert {case.keys for case in given} == {64, 128, 640}
    assert {("table",), ("ids", "id-window")} <= {case.terms for case in given}


def test_one_configuration_that_dies_or_is_late_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a shell in place of Python, which answers by the number of the configuration."""
    stub = tmp_path / "python"
    answers = (
        """case $4 in 0) echo '{"faults": []}';; 1) exit 11;; 2) sleep 30;; 3) echo '{"faults": ["out"]}';; esac"""
    )
    stub.write_text(f'#!/bin/sh\necho "$ONE" >>{tmp_path}/seen\n{answers}\n')
    stub.chmod(0o755)
    monkeypatch.setattr(smoke.sys, "executable", str(stub))
    monkeypatch.setenv("ONE", "0")
    attempt = smoke.Attempt("as it comes", {"ONE": "1", "NONE": None})
    smoke.try_all(attempt, "abcd", [], seconds=1.5)
    assert attempt.right == 1
    assert attempt.unfinished == ["c"]
    assert sorted(attempt.wrong) == ["b: its process died, exit 11: []", "out"]
    assert (tmp_path / "seen").read_text().split() == ["1"] * 4


def test_settings_are_tried_until_one_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "ptxas"
    file.write_text("")
    for name in ("CUDA_HOME", smoke.PTXAS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "")
    assert file not in smoke.other_ptxas(file), "it cannot be run"
    file.chmod(0o755)
    monkeypatch.setenv(smoke.PTXAS, str(file))
    given = smoke.attempts(file, tmp_path)
    assert [own.name for own in given][:3] == ["as Triton comes", "one stage", f"ptxas {file.resolve()}"]
    assert len({own.environment["TRITON_CACHE_DIR"] for own in given}) == len(given)
    assert given[0].environment[smoke.PTXAS] is None, "Triton's own, whatever is set"

    def only_the_file_is_right(attempt: smoke.Attempt) -> None:
        attempt.unfinished = ["configuration 1"]
        if attempt.environment[smoke.PTXAS] is None:
            attempt.wrong = ["out"]

    assert [own.name for own in smoke.choose(given, only_the_file_is_right)] == [own.name for own in given[:3]]
    late = [smoke.Attempt("late", {}), smoke.Attempt("other", {})]
    assert len(list(smoke.choose(late, lambda own: own.unfinished.append("configuration 1")))) == 1


def test_what_is_right_is_left_for_later_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a shell in place of Python, whose kernels are right with one stage of loads alone."""
    stub = tmp_path / "python"
    stub.write_text("""#!/bin/sh\n[ "$KERNELS_ONE_STAGE" ] && echo '{"faults": []}' || echo '{"faults": ["dk"]}'\n""")
    stub.chmod(0o755)
    monkeypatch.setattr(smoke.sys, "executable", str(stub))
    with pytest.raises(SystemExit) as ended:
        smoke.main(["--tiny", "--out", str(tmp_path / "smoke")])
    assert ended.value.code == 0
    told = json.loads((tmp_path / "smoke" / "smoke.json").read_text())
    assert told["chosen"] == "one stage"
    assert [len(own["wrong"]) for own in told["attempts"]] == [len(told["configurations"]), 0]
    left = json.loads((tmp_path / "smoke" / "environment.json").read_text())
    assert left["KERNELS_ONE_STAGE"] == "1"
    stub.write_text("""#!/bin/sh\necho '{"faults": ["dk"]}'\n""")
    monkeypatch.setattr(smoke, "other_ptxas", lambda given: [])
    with pytest.raises(SystemExit) as ended:
        smoke.main(["--tiny", "--out", str(tmp_path / "smoke")])
    assert ended.value.code == 1
    told = json.loads((tmp_path / "smoke" / "smoke.json").read_text())
    assert told["chosen"].startswith("nothing is right")
    assert told["other_ptxas"] == "none was there"


def test_all_of_it_takes_nine_minutes_at_most() -> None:
    gpu_first = importlib.import_module("gpu_first")
    for rehearse in (False, True):
        steps = gpu_first.planned(rehearse, Path("ptxas"))
        assert [own.name for own in steps] == ["smoke", "proof", "headline", "throughput", "training"]
        assert sum(own.seconds for own in steps) <= 540
        assert all(("--tiny" in own.command) == rehearse for own in steps)
        assert steps[0].command[-2:] == ("--ptxas", str(Path("ptxas").resolve()))


def test_commands_that_wait_for_a_gpu_have_their_options(root: Path) -> None:
    text = (root / "results" / "gpu" / "TODO.md").read_text()
    commands = re.findall(r"python3 (benchmarks/\w+\.py)([^`]*)`", text)
    assert {program for program, _ in commands} >= {"benchmarks/gpu_first.py", "benchmarks/attention.py"}
    for program, options in commands:
        source = (root / program).read_text()
        assert all(f'"{option}"' in source for option in re.findall(r"--[a-z-]+", options)), (program, options)
    assert "`arith " not in text, "nothing is installed there"


NO_NETWORK = """
import socket

def refuse(self, address):
    if self.family != socket.AF_UNIX:
        raise OSError("no network")
    return connect(self, address)

connect, socket.socket.connect = socket.socket.connect, refuse
"""


@pytest.fixture
def rehearsal(root: Path, tmp_path: Path) -> dict[str, Any]:
    """How a process is started on a machine without network, rich-click, and git or anything else to call."""
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "rich_click.py").write_text("raise ImportError")
    (bare / "sitecustomize.py").write_text(NO_NETWORK)
    told = {"PYTHONPATH": str(bare), "PATH": "", "OUT": str(tmp_path / "out"), "ARITH_COMMIT": "0123456789ab"}
    return {"cwd": tmp_path, "env": {"OMP_NUM_THREADS": "1", "HOME": str(tmp_path), **told}}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_rehearsal_leaves_one_archive_with_everything(root: Path, tmp_path: Path, rehearsal: dict[str, Any]) -> None:
    subprocess.run([sys.executable, str(root / "benchmarks" / "gpu_first.py"), "--rehearse"], check=True, **rehearsal)
    (archive,) = (tmp_path / "out").iterdir()
    files = opened(archive)
    assert set(outcomes(archive).values()) == {"done"}
    found = {name.split("/")[0]: json.loads(content) for name, content in files.items() if name.endswith(".json")}
    smoked = json.loads(files["smoke/smoke.json"])
    assert smoked["chosen"] == "as Triton comes"
    machines = [smoked["machine"], found["proof"], found["headline"]]
    parts = (found["throughput"]["throughput"], found["training"]["multiplication"])
    machines += [part["about"]["machine"] for part in parts]
    assert {own["commit"] for own in machines} == {"0123456789ab"}
    assert all({"torch", "triton", "ptxas"} <= set(own["versions"]) for own in machines)
    assert found["proof"]["proof"]["wrong"] == []
    assert {"arith, learnable", "SDPA with cuDNN, no bias"} <= {row["peer"] for row in found["headline"]["rows"]}
    assert len(found["throughput"]["throughput"]["rows"]) == 2
    assert found["training"]["multiplication"]["rows"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("at", range(5))
def test_rehearsal_killed_at_any_step_keeps_those_before(
    root: Path, tmp_path: Path, rehearsal: dict[str, Any], at: int
) -> None:
    names = ["smoke", "proof", "headline", "throughput", "training"]
    before = names[max(at - 1, 0) : at]
    command = [sys.executable, str(root / "benchmarks" / "gpu_first.py"), "--rehearse"]
    command += [word for name in (*before, names[at]) for word in ("--step", name)]
    archive = tmp_path / "out" / "first.tar.gz"
    kill_at(f"{names[at]}/log", command, archive, signal.SIGKILL, **rehearsal)
    assert outcomes(archive) == {**dict.fromkeys(before, "done"), names[at]: "running"}
    kept = [file for file in opened(archive) if file.endswith(".json")]
    assert all(any(file.startswith(f"{name}/") for file in kept) for name in before)
