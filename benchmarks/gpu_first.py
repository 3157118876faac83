"""The first eight minutes on a GPU: whether the kernels are right, how fast they are, and whether a model trains.

    make gpu-first                      nine minutes at most; writes results/gpu/first.tar.gz, or into OUT=FOLDER
    python benchmarks/gpu_first.py --rehearse --out FOLDER      the same on a CPU at tiny sizes, in about a minute

1. smoke: twelve configurations against float64, and the compiler settings that make them right, which all else gets.
2. proof: every case, in 115 seconds.
3. headline: eight speeds, beside SDPA with its cuDNN and its flash backend, FlexAttention, and no bias.
4. throughput: MFU of 85M parameters, eager and compiled.
5. training: `multiplication-paper:padded-reversed-15` for a minute, tested on every pair of lengths.

Each step has a limit and processes of its own, so that one that fails, dies or is late leaves the others as they are.
The archive is written every few seconds: summary.json, in which each step is done, failed, late, running or not
reached, then their JSON, then logs and figures. No network is needed, nor git: ARITH_COMMIT tells the commit.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from first_run.running import Session, Step

ROOT = Path(__file__).resolve().parent.parent
PEERS = ("arith, learnable", "arith, no bias", "coupled window", "SDPA", "FlexAttention, learnable")


def planned(rehearse: bool, ptxas: Path | None) -> list[Step]:
    """All steps. A rehearsal runs the same programs at tiny sizes, in an eighth of the time they give themselves."""
    pace = 1 / 8 if rehearse else 1
    tiny = ("--tiny",) if rehearse else ()
    attention, train = (
        (sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *tiny) for name in ("attention", "gpu_train")
    )
    smoke = (sys.executable, "-m", "first_run.smoke", *tiny)
    peers = [word for peer in PEERS for word in ("--peers", peer)]
    workers = min(14, os.cpu_count() or 1)  # two of 16 cores are for the sanitizer and what starts the kernels
    proof = ("--only-proof", "--seconds", f"{115 * pace}", "--workers", f"{workers}")
    return [
        Step("smoke", (*smoke, *(("--ptxas", str(ptxas.resolve())) if ptxas else ())), 110),
        Step("proof", (*attention, *proof), 122),
        Step("headline", (*attention, "--no-proof", "--headline", "--minutes", f"{1.3 * pace}", *peers), 95),
        Step("throughput", (*train, "--part", "1", "--cases", "85M learned", "--minutes", "1.1"), 90),
        Step("training", (*train, "--part", "2", "--minutes", f"{pace}"), 123),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("OUT") or ROOT / "results" / "gpu")
    parser.add_argument("--out", type=Path, default=default, help="folder of the archive; $OUT, or results/gpu")
    names = [step.name for step in planned(False, None)]
    parser.add_argument("--step", action="append", choices=names, help="one or some; all by default")
    parser.add_argument("--ptxas", type=Path, metavar="FILE", help="to try where Triton's own makes wrong code")
    parser.add_argument("--rehearse", action="store_true", help="on a CPU, at tiny sizes")
    given = parser.parse_args(arguments)
    steps = [step for step in planned(given.rehearse, given.ptxas) if step.name in (given.step or names)]
    given.out.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="gpu-first-"))
    path = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path.rstrip(os.pathsep), "PYTHONUNBUFFERED": "1", "MPLBACKEND": "Agg"}
    environment |= {f"{name}_CACHE_DIR": str(work / "cache" / name.lower()) for name in ("TRITON", "TORCHINDUCTOR")}
    about = {"began": datetime.now(UTC).isoformat(timespec="seconds"), "rehearsal": given.rehearse}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # so that the running step is ended too
    session = Session(steps, work, given.out.resolve() / "first.tar.gz", about, environment)
    try:
        session.run()
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"written  {session.archive}")
    sys.exit(0 if all(record["outcome"] == "done" for record in session.records) else 1)


if __name__ == "__main__":
    main()
