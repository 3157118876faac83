"""The lists of the catalogue and of runs."""

import json
import os
from collections.abc import Callable

from click.testing import Result

Arith = Callable[..., Result]


def test_lists_are_complete(arith: Arith) -> None:
    from arith.tasks import formats, suites

    found = json.loads(arith("list", "--json").stdout)
    added = {name for name in found["formats"] if name.startswith("+")}
    assert {"+hints", "+spaces", "+groups", "+recursive", "+partial-products"} < added
    assert {name: found["formats"][name] for name in formats.NAMED} == {
        "plain": "12+345=357",
        "reversed": "12+345=753",
        "all-reversed": "21+543=753",
        "padded": "012+345=0357",
        "padded-reversed": "012+345=7530",
        "padded-all-reversed": "210+543=7530",
        "interleaved": "+031425=0357",
        "interleaved-reversed": "+031425=7530",
        "interleaved-all-reversed": "+251403=7530",
    }
    assert set(found["suites"]) == set(suites.SUITES)
    assert "coupled-window" in found["encodings"]
    assert "@coupled" in found["schemes"]


def test_lines_that_match_are_left(arith: Arith) -> None:
    found = json.loads(arith("list", "encodings", "--match", "rope", "--json").stdout)["encodings"]
    assert {"rope", "rope-scaled"} & set(found)
    assert all("rope" in f"{name} {line}".lower() for name, line in found.items())
    assert arith("list", "--match", "no such thing").stdout == ""


def test_runs_are_sorted_and_filtered(arith: Arith) -> None:
    for name in ("b", "a"):
        assert (
            arith(
                "train",
                "--steps",
                "1",
                "--batch",
                "2",
                "--digits",
                "1",
                "--test-digits",
                "1",
                "--samples",
                "2",
                "--out",
                f"runs/{name}",
            ).exit_code
            == 0
        )

    def listed(*options: str) -> list[str]:
        return [row["folder"] for row in json.loads(arith("list", "runs", "--json", *options).stdout)]

    assert listed() == ["runs/a", "runs/b"]
    assert listed("--sort", "newest") == ["runs/a", "runs/b"]
    os.utime("runs/b", (2e9, 2e9))
    assert listed("--sort", "newest") == ["runs/b", "runs/a"]
    assert listed("--match", "finished") == ["runs/a", "runs/b"]
    assert listed("--match", "stopped") == []
