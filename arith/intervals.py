"""How sure an accuracy is."""

import math

Z95 = 1.959963984540054  # the normal distribution's 97.5% quantile


def wilson(correct: int, n: int) -> tuple[float, float]:
    """The 95% interval of a share, sound at 0% and 100% too.

        (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)

    Wilson, "Probable Inference", 1927.

    >>> [round(bound, 3) for bound in wilson(400, 400)]
    [0.99, 1.0]
    """
    if not 0 <= correct <= n or n == 0:
        raise ValueError(f"correct is between 0 and n, and n above 0: got {correct} of {n}")
    share, weight = correct / n, Z95**2 / n
    centre = share + weight / 2
    spread = Z95 * math.sqrt(share * (1 - share) / n + weight / (4 * n))
    low, high = (centre - spread) / (1 + weight), (centre + spread) / (1 + weight)
    # Rounding must not push a bound past the share itself.
    return min(max(low, 0.0), share), max(min(high, 1.0), share)


def percent(share: float) -> str:
    """A share in percent; 100 only if nothing is missing.

    >>> percent(1.0), percent(0.9975), percent(0.0)
    ('100', '99.8', '0')
    """
    text = f"{100 * share:.1f}"
    if text == "100.0" and share < 1:
        return "99.9+"
    return text.removesuffix(".0")
