"""Maps of attention."""

import numpy as np

from arith.report.parts.attention import Heads, attention_part
from tests.arith.report.pages import Reader

WEIGHTS = np.array([[1, 0, 0], [0.75, 0.25, 0], [0.02, 0.03, 0.95]])


def heads(**changes: object) -> Heads:
    values = {"label": "a", "problem": "1+2", "symbols": "1<=", "weights": [WEIGHTS[None]], "passes": [(1, 0)]}
    return Heads(**{**values, "of": 3, "looped": True, "causal": True, **changes})  # type: ignore[arg-type]


def test_each_row_says_what_its_query_attends_to() -> None:
    read = Reader(attention_part([heads()]))
    assert read.texts["title"][1] == "loop 2, layer 1, head 1: '<' (2) attends to '1' (1) 75%, '<' (2) 25%"
    assert read.texts["title"][2].endswith("attends to '=' (3) 95%")
    assert any("The first 1 of 3 passes." in text for text in read.texts["p"])


def test_keys_ahead_stay_empty_in_causal_attention_alone() -> None:
    def widths(causal: bool) -> list[str | None]:
        read = Reader(attention_part([heads(causal=causal)]))
        return [values["width"] for name, values in read.elements if name == "rect" and "y" in values]

    assert widths(True) == ["1", "2", "3"]
    assert widths(False) == ["3", "3", "3"]


def test_attention_spread_evenly_over_many_tokens_is_said() -> None:
    n = 40
    spread = np.full((1, n, n), 1 / n)
    read = Reader(attention_part([heads(symbols="1" * n, weights=[spread], causal=False)]))
    assert read.texts["title"][0].endswith("everything alike")
    assert "text" not in read.texts  # letters would run into each other
