"""What answers depend on, as the command prints it."""

import json
from collections.abc import Callable

from click.testing import Result

Arith = Callable[..., Result]
SMALL = ["--steps", "3", "--batch", "8", "--digits", "1-2", "--test-digits", "1-3", "--samples", "5"]


def test_probe_prints_what_changes(arith: Arith) -> None:
    arith("train", *SMALL, "--encoding", "coupled", "--out", "run")
    found = json.loads(arith("probe", "run", "--samples", "20", "--json").stdout)
    assert found[0]["changed"] == "nothing"
    assert any(row["beyond"] for row in found)
    assert "beyond the encoding's ids" in arith("probe", "run", "--samples", "20").stdout
    assert arith("probe", "run", "--digits", "0").exit_code == 2
