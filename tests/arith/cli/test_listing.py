"""The lists of the catalogue and of runs."""

import json
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
