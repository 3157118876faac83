"""The bars that measured speeds are held to, and ratios of like with like."""

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
FORWARD_PASSES, BACKWARD_PASSES = 4, 7  # tensors of the size of q to and from memory, at least
DENSE, FLEX = "SDPA, dense learnable bias", "FlexAttention, learnable"
CLAMPED = 128  # reach of a table


def gate(name: str, bar: float, value: float | None, by: str = "", at_most: bool = False) -> dict[str, Any]:
    """A bar beside its value; `by` says how what it compares was launched."""
    passed = value is not None and (value <= bar if at_most else value >= bar)
    return {"gate": name, "bar": bar, "value": value, "by": by, "passed": passed}


def compare(what: str, one: Row | None, other: Row | None) -> tuple[float | None, str]:
    """What one takes, in units of what the other takes, and how both were launched; None where one is missing.

    Args:
        what: `forward`, `backward` or `both` for times, which are of graphs where both rows have them; or a row's name.
    """
    for by in ("graph", "eager", ""):
        mine, theirs = (None if row is None else value_of(row, what, by) for row in (one, other))
        if mine is not None and theirs:
            return mine / theirs, by
    return None, ""


def value_of(row: Row, what: str, by: str) -> float | None:
    """Milliseconds of a part as `graph` or `eager`; any other value of a row as it stands."""
    # As launched one by one, short sequences wait for the host, whoever's kernels they run.
    if by == "graph" and what == "backward":
        # Its forward pass belongs to the same capture, so that there is no graph of a backward pass alone.
        both, forward = row.get("graph_both_ms"), row.get("graph_forward_ms")
        return None if both is None or forward is None else both - forward
    found: float | None = row.get({"graph": f"graph_{what}_ms", "eager": f"{what}_ms"}.get(by, what))
    return found


def short_gates(found: Sequence[Row], bandwidth: float) -> list[dict[str, Any]]:
    """Each bar with its value, at 64 and 128 tokens and head width 64."""
    lines = []
    for n in (64, 128):
        rows = {
            row["peer"]: row for row in reversed(found) if row["n"] == n and row["width"] == 64 and "both_ms" in row
        }
        ours = rows.get("arith, learnable")
        if ours is None:
            lines.append(gate(f"n={n}: no right result of ours", 1, None))
            continue
        # What a copy would take for as many bytes.
        passes = {"forward": FORWARD_PASSES, "both": FORWARD_PASSES + BACKWARD_PASSES}
        copied = {part: 1000 * count * size(ours) / bandwidth for part, count in passes.items()}
        copy = {f"{way}{part}_ms": value for way in ("", "graph_") for part, value in copied.items()}
        lines.append(
            gate(f"n={n}: share of copy bandwidth, forward and backward", 0.7, *compare("both", copy, ours)),
        )
        if n == 64:
            lines.append(gate("n=64: share of copy bandwidth, forward", 0.8, *compare("forward", copy, ours)))
        for peer, bar in ((DENSE, 2.0), (FLEX, 4.0), ("FlexAttention, frozen", 1.5), ("FlexAttention, no bias", 1.5)):
            lines.append(gate(f"n={n}: times as fast as {peer}", bar, *compare("both", rows.get(peer), ours)))
    return lines


def size(row: Row) -> int:
    """Bytes of one of q, k, v, output, in 16 bits."""
    return int(2 * row["batch"] * row["heads"] * row["n"] * row["width"])


def long_gates(found: Sequence[Row], lengths: Sequence[int]) -> list[dict[str, Any]]:
    """Each bar of long sequences with its value."""
    lines = []
    for n in sorted(lengths):
        for radius, forward, backward in ((None, 0.75, 1.4), (CLAMPED, 0.9, 1.1)):
            rows = {row["peer"]: row for row in found if row["n"] == n and row.get("radius") == radius}
            ours, plain, frozen = (rows.get(f"arith, {kind}") for kind in ("learnable", "no bias", "frozen"))
            bars = [
                ("forward, times as fast as without a bias", forward, ("forward", plain, ours), False),
                ("table's gradient, backward's time", backward, ("backward", ours, frozen), True),
                ("times as fast as SDPA, dense learnable bias", 2.5, ("both", rows.get(DENSE), ours), False),
            ]
            if n == 8192:
                bars += [
                    ("memory beside SDPA, dense learnable bias", 0.05, ("peak_bytes", ours, rows.get(DENSE)), True),
                    ("backward, FlexAttention, learnable", 3.0, ("backward", rows.get(FLEX), ours), False),
                ]
                for kind, own in (("frozen", frozen), ("no bias", plain)):
                    other = rows.get(f"FlexAttention, {kind}")
                    bars.append((f"forward, FlexAttention, {kind}", 0.9, ("forward", other, own), False))
            name = f"n={n}, {'all distances' if radius is None else f'up to {radius}'}"
            lines += [gate(f"{name}: {of}", bar, *compare(*rest), at_most=least) for of, bar, rest, least in bars]
    return lines
