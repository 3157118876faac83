"""What studies measure, which train no transformer: numbers against a step size, a share, or whatever they vary."""

from dataclasses import dataclass, field

from arith.errors import UsageError


@dataclass(frozen=True)
class Measurement:
    """What a study measured at one place of its axis, such as one step size.

    Args:
        label: the curve.
        seed: the random seed.
        at: the place on the axis.
        n: the number of test samples behind each share in `measures`.
        measures: what was measured, by name with the unit.
    """

    label: str
    seed: int
    at: float
    n: int
    measures: dict[str, float] = field(hash=False)


def check_measurement(row: Measurement, where: str) -> None:
    """Refuse a row that no study can give.

    Raises:
        UsageError: there are no test samples; the message begins with `where`.
    """
    if row.n < 1:
        raise UsageError(f"{where}: field 'n' is 1 or more, got {row.n}")
