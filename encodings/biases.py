"""Biases by distance that a formula gives: the farther a key's id from the query's, the lower its score.

    ALiBi           -m[h] D                                                m[h] = 2^(-8 h / H)
    Hard-ALiBi      0 where D < h, else hidden, in heads 1 .. masked       0 in the other heads
    KERPLE, log     -r1[h] log(1 + r2[h] D)                                r1, r2 > 0
    KERPLE, power   -r1[h] D^r2[h]                                         r1 > 0, 0 < r2 < 2
    Sandwich        (sum_i cos(D base^(-2 i / d)) - d / 2) H / (8 h)       i = 0 .. d / 2 - 1

D = |k - q|, so that a key ahead counts like one behind; h = 1 .. H are the heads. All are 0 at D = 0, and a pair of
which one id is 0 counts as D = 0. All layers share the parameters.
Press et al., arXiv 2108.12409. Jelassi et al., arXiv 2402.01032, and their code. Chi et al., arXiv 2205.09921. Chi et
al., arXiv 2212.10356; there without "- d / 2", which the softmax cancels where every token has a position.
"""

from abc import abstractmethod
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from arith.encodings.base import Encoding, TableEncoding
from arith.kernels.terms import DistanceTable, Ids

# No score outweighs it, and its exponential is 0 in every precision. Finite, in half precision too: where all keys that
# a query may see are hidden, -inf would lose to masked keys, or make NaN.
HIDDEN = -10_000.0


def exact(numbers: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """In float32 at least: in bfloat16 the distances 256 and 257 are one."""
    return numbers.to(torch.promote_types(numbers.dtype, torch.float32))


def alibi_exponents(heads: int) -> list[float]:
    """Of ALiBi's slopes 2^-e; beyond a power of two heads every other of the next higher, as the authors have it.

    >>> alibi_exponents(6)
    [2.0, 4.0, 6.0, 8.0, 1.0, 3.0]
    """
    # 8 is the authors' range: the last of a power of two heads has the slope 2^-8.
    power = 2 ** (heads.bit_length() - 1)
    lower = [8 * head / power for head in range(1, power + 1)]
    between = [4 * head / power for head in range(1, 2 * power, 2)]
    return (lower + between)[:heads]


class DistanceBias(TableEncoding, Encoding):
    """A bias that depends on |k - q| only."""

    relative = True
    distance: Int[Tensor, " 2r+2"]

    def __init__(self, radius: int) -> None:
        super().__init__()
        slots = torch.arange(-radius, radius + 2).abs()
        slots[-1] = 0  # of pairs without a position
        self.register_buffer("distance", slots, persistent=False)

    @abstractmethod
    def bias(self) -> Float[Tensor, "h 2r+2"]:
        """Of each head, at `self.distance`."""

    def term(self, ids: Ids) -> DistanceTable:
        return DistanceTable(self.bias(), ids)


class ALiBi(DistanceBias):
    """A penalty proportional to distance, -m[h] D, with a slope for each head, m[h] = 2^(-8 h / H).

    D = |k - q|, and 0 where an id is 0. Press et al., "Train Short, Test Long", arXiv 2108.12409.

    Args:
        heads: attention heads; slopes as in `alibi_exponents`.
        highest: the largest id, and so the largest distance.
        learned: the slopes are parameters, which stay positive; otherwise nothing is learned.

    >>> ALiBi(heads=4, highest=10).slopes.flatten().tolist()
    [0.25, 0.0625, 0.015625, 0.00390625]
    """

    exponents: Float[Tensor, "h 1"]

    def __init__(self, heads: int, highest: int, learned: bool = False) -> None:
        super().__init__(highest)
        self.reach = highest
        exponents = torch.tensor([alibi_exponents(heads)]).T
        if learned:
            self.exponents = nn.Parameter(exponents.contiguous())
        else:
            self.register_buffer("exponents", exponents, persistent=False)

    @property
    def slopes(self) -> Float[Tensor, "h 1"]:
        return torch.exp2(-self.exponents)

    def bias(self) -> Float[Tensor, "h 2r+2"]:
        return -exact(self.slopes) * self.distance


class HardALiBi(DistanceBias):
    """Some heads see only what is near, the first its own id, the second one more to each side; the rest see all.

    0 where D < h, else hidden, in heads h = 1 .. masked. Jelassi et al., arXiv 2402.01032, and their code.

    Unlike a window, it differs between heads, and so is a bias too low for any weight to remain.

    Args:
        heads: attention heads.
        masked: how many of them are limited; half, as in the authors' code, if not given.

    >>> HardALiBi(heads=2, masked=1).bias()
    tensor([[-10000.,      0., -10000.,      0.],
            [     0.,      0.,      0.,      0.]])
    """

    windows: Float[Tensor, "h 2r+2"]

    def __init__(self, heads: int, masked: int | None = None) -> None:
        if masked is None:
            if heads < 2:
                raise ValueError(f"hard-alibi limits half of the heads: a model of {heads} heads needs masked=1")
            masked = heads // 2
        if not 1 <= masked <= heads:
            raise ValueError(f"hard-alibi limits 1 or more of the heads: got masked={masked} of {heads} heads")
        super().__init__(masked)  # at this distance the widest window has ended
        self.masked = masked
        head = torch.arange(1, heads + 1)[:, None]
        # The table's ends are at distance `masked`, and farther keys share them.
        far = (self.distance >= head) & (head <= masked)
        self.register_buffer("windows", torch.where(far, HIDDEN, 0.0), persistent=False)

    def bias(self) -> Float[Tensor, "h 2r+2"]:
        return self.windows

    def extra_repr(self) -> str:
        return f"masked={self.masked}"


class KERPLE(DistanceBias):
    """A penalty with a learned strength r1 and a learned growth r2 for each head.

    -r1[h] log(1 + r2[h] D), or -r1[h] D^r2[h] with r2 < 2. Chi et al., arXiv 2205.09921.

    They start uniformly at random from 0.01 on, as in the authors' code: strength up to 2 and growth up to 1 in the
    log kind, strength up to 1 and growth up to 2 in the power kind.

    Args:
        heads: attention heads.
        highest: the largest id, and so the largest distance.
        kind: which of the two formulas.

    >>> KERPLE(heads=4, highest=10).bias().shape
    torch.Size([4, 22])
    """

    def __init__(self, heads: int, highest: int, kind: Literal["log", "power"] = "log") -> None:
        super().__init__(highest)
        if kind not in ("log", "power"):
            raise ValueError(f"kerple is of kind log or power, got {kind!r}")
        self.reach = highest
        self.kind = kind
        # 1.99 keeps the logit below finite: a growth of 2 would start at infinity.
        strongest, fastest = (2.0, 1.0) if kind == "log" else (1.0, 1.99)
        strength = torch.empty(heads, 1).uniform_(0.01, strongest)
        growth = torch.empty(heads, 1).uniform_(0.01, fastest)
        # What is learned may take any value.
        self.log_strength = nn.Parameter(strength.log())
        self.free_growth = nn.Parameter(growth.log() if kind == "log" else (growth / 2).logit())

    @property
    def strength(self) -> Float[Tensor, "h 1"]:
        """r1, above 0."""
        return self.log_strength.exp()

    @property
    def growth(self) -> Float[Tensor, "h 1"]:
        """r2, above 0; in the power kind below 2, up to where the power is a kernel."""
        return self.free_growth.exp() if self.kind == "log" else 2 * self.free_growth.sigmoid()

    def bias(self) -> Float[Tensor, "h 2r+2"]:
        growth = exact(self.growth)
        grown = (growth * self.distance).log1p() if self.kind == "log" else self.distance**growth
        return -exact(self.strength) * grown

    def extra_repr(self) -> str:
        return f"kind={self.kind}"


class Sandwich(DistanceBias):
    """How well the sinusoidal embeddings of two positions agree, divided by a ratio for each head. Nothing is learned.

    (sum_i cos(D base^(-2 i / d)) - d / 2) H / (8 h), i = 0 .. d / 2 - 1. Chi et al., arXiv 2212.10356.

    Args:
        heads: attention heads.
        highest: the largest id, and so the largest distance.
        dimensions: of the sinusoidal embeddings, d; even.
        base: of their wavelengths.

    >>> Sandwich(heads=2, highest=1, dimensions=2).bias()
    tensor([[-0.1149,  0.0000, -0.1149,  0.0000],
            [-0.0575,  0.0000, -0.0575,  0.0000]])
    """

    agreement: Float[Tensor, "h 2r+2"]

    def __init__(self, heads: int, highest: int, dimensions: int = 128, base: float = 10000.0) -> None:
        super().__init__(highest)
        if dimensions < 2 or dimensions % 2:
            raise ValueError(f"sandwich pairs sines and cosines: its dimensions are even, got {dimensions}")
        if base <= 0:
            raise ValueError(f"sandwich's base is above 0, got {base}")
        self.reach = highest
        # Near 0 a difference of large sums: in double precision.
        frequencies = base ** -(torch.arange(0, dimensions, 2, dtype=torch.float64) / dimensions)
        agreement = (self.distance[:, None] * frequencies).cos().sum(1) - dimensions / 2
        # The authors' ratios, ALiBi's exponents: from 8 / H for the first head to 8 for the last.
        ratio = 8 * torch.arange(1, heads + 1, dtype=torch.float64)[:, None] / heads
        self.register_buffer("agreement", (agreement / ratio).float(), persistent=False)

    def bias(self) -> Float[Tensor, "h 2r+2"]:
        return self.agreement
