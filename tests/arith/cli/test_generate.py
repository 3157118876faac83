"""Problems that are written as lines."""

import json
from collections.abc import Callable

from click.testing import Result

Arith = Callable[..., Result]


def test_generated_lines_hold_what_is_promised(arith: Arith) -> None:
    written = arith(
        "generate", "multiplication", "--format", "padded-reversed:width=3", "--digits", "1-3", "--samples", "20"
    )
    lines = [json.loads(line) for line in written.stdout.splitlines()]
    assert len(lines) == 20
    for line in lines:
        a, b = map(int, line["operands"])
        assert int(line["result"]) == a * b
        assert line["prompt"] == f"{a:03}*{b:03}="
        assert line["answer"] == f"{a * b:06}"[::-1]
        assert line["digits"] == max(len(str(a)), len(str(b)))
        assert (line["task"], line["format"]) == ("multiplication", "padded-reversed:width=3")
    assert (
        arith("generate", "multiplication", "--digits", "1-3").stdout
        == arith("generate", "multiplication", "--digits", "1-3").stdout
    )
