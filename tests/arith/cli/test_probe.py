"""What answers depend on, as the command prints it."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from arith.results.schema import Results

Arith = Callable[..., Result]
SMALL = ["--steps", "3", "--batch", "8", "--digits", "1-2", "--test-digits", "1-3", "--samples", "5"]


def test_probe_prints_what_changes(arith: Arith) -> None:
    arith("train", *SMALL, "--encoding", "coupled", "--out", "run")
    found = json.loads(arith("probe", "run", "--samples", "20", "--json").stdout)
    assert found[0]["changed"] == "nothing"
    assert any(row["beyond"] for row in found)
    assert "beyond the encoding's ids" in arith("probe", "run", "--samples", "20").stdout
    assert arith("probe", "run", "--digits", "0").exit_code == 2


def test_probes_of_several_runs_are_kept_and_drawn(arith: Arith) -> None:
    for seed in ("1", "2"):
        arith("train", *SMALL, "--encoding", "coupled", "--seed", seed, "--out", f"coupled-{seed}")
    done = arith("probe", "coupled-1", "coupled-2", "--samples", "20", "--out", "probes.json")
    assert "coupled-2\n" in done.stdout
    rows = Results.load(Path("probes.json")).measurements
    assert [(row.label, row.seed, row.at, row.n) for row in rows] == [("coupled", 1, 2, 20), ("coupled", 2, 2, 20)]
    drawn = arith("plot", "probes.json", "--kind", "probes")
    assert drawn.exit_code == 0, drawn.stderr
    with Path("probes.csv").open(encoding="utf-8") as table:
        found = {row["changed"]: row for row in csv.DictReader(table)}
    worst = min(row.measures["nothing"] for row in rows)
    assert float(found["nothing"]["worst"]) == 100 * worst
    assert found["nothing"]["seeds"] == "2"


def test_a_file_without_probes_is_refused(arith: Arith) -> None:
    Results(()).save(Path("none.json"))
    done = arith("plot", "none.json", "--kind", "probes")
    assert done.exit_code == 2
    assert "arith probe RUN --out probes.json writes some" in done.stderr
