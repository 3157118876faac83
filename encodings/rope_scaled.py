"""RoPE for more positions than training had: frequencies are lowered, all of them or the low ones.

    s = max(1, highest / trained)       how far positions are stretched, unless `stretch` gives it
    f[i] = base ** (-2 i / d)           the frequencies of RoPE, which become

    interpolated   f[i] / s
    ntk            those of the base  base * s ** (d / (d - 2)):  the first stays, the last is divided by s
    yarn           f[i] * (1 - ramp[i] + ramp[i] / s), and queries and keys times 0.1 ln s + 1;
                   the ramp runs over i, from 0 where f turns `fast` times within the trained ids to 1 where `slow`,
                   and is 1 wherever f turns less than `slow` times
    llama3         f[i] * (1 - ramp[i] + ramp[i] / s); the ramp runs over the turns, from 0 at `high` to 1 at `low`
    long           f[i] / factors[i], and queries and keys times sqrt(1 + ln s / ln trained)

Chen et al., "Position Interpolation", arXiv 2306.15595; bloc97, "NTK-Aware Scaled RoPE", 2023; Peng et al., "YaRN",
arXiv 2309.00071; the code released with Llama 3.1; Ding et al., "LongRoPE", arXiv 2402.13753.

s is fixed when the model is built, for training and tests alike, and never follows the length so far: the keys in a
cache could not be rotated again, and decoding would differ from the full pass. As rotations have no parameters, a model
that was trained with `rope` takes one of these in its place to be tested on longer inputs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from arith.encodings.base import Positions
from arith.encodings.rope import RoPE


# Settings are fields, so that a scaling lists its own alone. No eq: a module is hashed by identity. No repr: torch's.
@dataclass(eq=False, repr=False)
class Scaled(RoPE):
    """What the scalings share; by itself it is RoPE.

    Args:
        head_width: dimensions of a head; even.
        highest: the largest id to be reached.
        trained: the largest id that training shows, or has shown to the model that is stretched.
        base: base of the wavelengths before the scaling.
        share: share of a head's dimensions that are rotated, the first ones.
        stretch: s, of a model made for more positions than this one needs; None: as above.
        kept: share of the frequencies that turn, as in RoPE; a setting of `Interpolated` alone.

    Attributes:
        scale: s, how far positions are stretched.
        attention_factor: factor on queries and keys, those without a position too.
    """

    head_width: int
    highest: int
    trained: int
    base: float = 10000.0
    share: float = 1.0
    stretch: float | None = field(default=None, kw_only=True)
    kept: float = field(default=1.0, init=False)

    def __post_init__(self) -> None:
        if self.trained < 2:
            raise ValueError(f"trained is the largest id that training shows, 2 or more: got {self.trained}")
        if self.stretch is not None and not 1 <= self.stretch < math.inf:
            raise ValueError(f"stretch is 1 or more: got {self.stretch}")
        # The fields are set by now. A module may hold plain numbers before its own constructor has run, but no tensors.
        super().__init__(self.head_width, self.base, self.share, self.kept)
        self.scale: float = max(1.0, self.highest / self.trained) if self.stretch is None else self.stretch
        self.attention_factor: float = 1.0

    def compute_buffers(self, dtype: torch.dtype) -> dict[str, Tensor]:
        return {"frequencies": self._lower(self._plain(dtype))}

    def _lower(self, plain: Float[Tensor, " half"]) -> Float[Tensor, " half"]:
        """RoPE's frequencies scaled, in their precision."""
        return plain

    def _turns(self, plain: Float[Tensor, " half"]) -> Float[Tensor, " half"]:
        """How often each frequency turns within the trained ids, in float64: ramps subtract nearly equal numbers."""
        return self.trained * plain.double() / (2 * math.pi)

    def _interpolate(self, plain: Float[Tensor, " half"], ramp: Float[Tensor, " half"]) -> Float[Tensor, " half"]:
        """Frequencies divided by s where the ramp is 1, left alone where it is 0."""
        return (plain * (1 - ramp + ramp / self.scale)).to(plain.dtype)

    def rotate(
        self, q: Float[Tensor, "b h q d"], k: Float[Tensor, "b g k d"], positions: Positions
    ) -> tuple[Float[Tensor, "b h q d"], Float[Tensor, "b g k d"]]:
        q, k = super().rotate(q, k, positions)
        factor = self.attention_factor
        return (q, k) if factor == 1 else (factor * q, factor * k)

    def extra_repr(self) -> str:
        return f"trained={self.trained}, stretch={self.scale:g}"


@dataclass(eq=False, repr=False)
class Interpolated(Scaled):
    """Position interpolation: the highest id gets the angles that the trained one had.

    Args:
        head_width, highest, trained, base, share, stretch, kept: see `Scaled`.

    >>> Interpolated(head_width=4, highest=40, trained=10, base=100.0).frequencies.tolist()
    [0.25, 0.02500000037252903]
    """

    kept: float = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.fill_buffers()

    def _lower(self, plain: Float[Tensor, " half"]) -> Float[Tensor, " half"]:
        return self._interpolate(plain, torch.ones_like(plain))


@dataclass(eq=False, repr=False)
class NTK(Scaled):
    """NTK-aware scaling: a larger base, which leaves the highest frequency and divides the lowest by s.

    Dynamic NTK takes s = alpha * length / trained - (alpha - 1); with the capacity as its length it is this encoding.

    Args:
        head_width, highest, trained, base, share, stretch: see `Scaled`.
        alpha: factor on the stretch beyond 1, as in dynamic NTK.

    >>> NTK(head_width=4, highest=40, trained=10, base=100.0).frequencies.tolist()
    [1.0, 0.02500000037252903]
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.alpha < 1:
            raise ValueError(f"alpha is 1 or more, got {self.alpha}")
        if self.pairs < 2:
            raise ValueError("another base changes nothing for one pair of dimensions: rotate 4 or more, got 2")
        self.scale = self.alpha * self.scale - (self.alpha - 1)
        self.fill_buffers()

    def _lower(self, plain: Float[Tensor, " half"]) -> Float[Tensor, " half"]:
        width = 2 * self.pairs
        # The exponent runs from 0 at the first frequency to -1 at the last, which is why it divides by d - 2.
        lowered: Tensor = plain * self.scale ** (-torch.arange(0, width, 2, dtype=plain.dtype) / (width - 2))
        return lowered


@dataclass(eq=False, repr=False)
class YaRN(Scaled):
    """High frequencies stay, low ones are interpolated, between them a ramp; attention is sharpened.

    The ramp is that of the authors' code and of Hugging Face, linear in i with its ends rounded outwards, except that
    a frequency that turns less than `slow` times is interpolated wherever the ramp may be: with few trained ids the
    ends would leave the first ones as they are. The paper's text has it linear in the turns, as Llama 3 does.

    Args:
        head_width, highest, trained, base, share, stretch: see `Scaled`.
        fast: turns within the trained ids from which on a frequency stays.
        slow: turns up to which it is interpolated.
        sharpness: factor on queries and keys; None: as above.
        rounded: whether the ends of the ramp are rounded outwards, to whole i.

    >>> YaRN(head_width=8, highest=4000, trained=1000)
    YaRN(trained=1000, stretch=4)
    """

    fast: float = 32.0
    slow: float = 1.0
    sharpness: float | None = field(default=None, kw_only=True)
    rounded: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.base <= 1:
            raise ValueError(f"yarn's ramp needs frequencies that fall: a base above 1, got {self.base}")
        if not 0 < self.slow < self.fast:
            raise ValueError(f"turns are 0 < slow < fast, got slow={self.slow} and fast={self.fast}")
        # Fitted by the authors to LLaMA models of several sizes. It goes on queries and on keys, so that scores get its
        # square.
        self.attention_factor = _sharpness(self.sharpness, default=0.1 * math.log(self.scale) + 1)
        self.fill_buffers()

    def _lower(self, plain: Float[Tensor, " half"]) -> Float[Tensor, " half"]:
        # The i whose frequency turns so often, as a real number: f[i] = base ** (-i / pairs) solved for i.
        def place(turns: float) -> float:
            return self.pairs * math.log(self.trained / (2 * math.pi * turns)) / math.log(self.base)

        begin, end = place(self.fast), place(self.slow)
        if self.rounded:
            begin, end = math.floor(begin), math.ceil(end)
        # 2 pairs - 1 and 0.001, by which a ramp of no length does not divide by zero, are those of the authors' code.
        begin, end = max(begin, 0), min(end, 2 * self.pairs - 1)
        ramp = ((torch.arange(self.pairs).double() - begin) / max(end - begin, 0.001)).clamp(0, 1)
        # The rounded ends are meant for thousands of ids; where there are few, even the first frequency may be slow.
        return self._interpolate(plain, torch.where(self._turns(plain) < self.slow, 1.0, ramp))


@dataclass(eq=False, repr=False)
class Llama3(Scaled):
    """High frequencies stay, low ones are interpolated, between them a ramp over the turns.

    Args:
        head_width, highest, trained, base, share, stretch: see `Scaled`. Llama 3.1 has trained=8192, stretch=8.
        low: turns within the trained ids up to which a frequency is interpolated.
        high: turns from which on it stays.

    >>> Llama3(head_width=4, highest=80, trained=20, base=100.0).frequencies
    tensor([0.7958, 0.0250])
    """

    low: float = 1.0
    high: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.low < self.high:
            raise ValueError(f"turns are 0 <= low < high, got low={self.low} and high={self.high}")
        self.fill_buffers()

    def _lower(self, plain: Float[Tensor, " half"]) -> Float[Tensor, " half"]:
        return self._interpolate(plain, ((self.high - self._turns(plain)) / (self.high - self.low)).clamp(0, 1))


@dataclass(eq=False, repr=False)
class LongRoPE(Scaled):
    """Each frequency is divided by a factor of its own, as a search found them.

    Built for no more than the trained ids it divides nothing; built for more, it divides in every sequence, short ones
    too. The paper's exemption of the first tokens is left out, as in its released models: scores would no longer
    depend on differences only.

    Args:
        head_width, highest, trained, base, share, stretch: see `Scaled`.
        factors: a divisor for each rotated pair of dimensions, the highest frequency's first; as text with dashes
            between.
        sharpness: factor on queries and keys; None: as above.

    >>> LongRoPE(head_width=4, highest=40, trained=10, factors="1-5", base=100.0).frequencies.tolist()
    [1.0, 0.019999999552965164]
    """

    factors: str | Sequence[float] = field(kw_only=True)
    sharpness: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.divisors = _read_numbers(self.factors)
        if len(self.divisors) != self.pairs or not all(0 < divisor < math.inf for divisor in self.divisors):
            raise ValueError(
                f"factors are {self.pairs} numbers above 0, one for each pair of dimensions, such as "
                f"{'-'.join(str(1 + place) for place in range(self.pairs))}: got {self.factors}"
            )
        # The paper's: the more keys there are, the sharper attention has to be.
        default = math.sqrt(1 + math.log(self.scale) / math.log(self.trained))
        self.attention_factor = _sharpness(self.sharpness, default)
        self.fill_buffers()

    def _lower(self, plain: Float[Tensor, " half"]) -> Float[Tensor, " half"]:
        # Within the trained ids nothing is stretched, though the searched factors may be above 1 even there.
        return plain if self.scale == 1 else plain / torch.tensor(self.divisors, dtype=plain.dtype)


def _sharpness(setting: float | None, default: float) -> float:
    if setting is not None and not 0 < setting < math.inf:
        raise ValueError(f"sharpness is above 0: got {setting}")
    return default if setting is None else setting


def _read_numbers(factors: str | Sequence[float]) -> list[float]:
    if not isinstance(factors, str):
        return list(factors)
    try:
        return [float(factor) for factor in factors.split("-")]
    except ValueError:
        return []  # the caller says how many numbers it wants
