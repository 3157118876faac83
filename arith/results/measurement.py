"""What is measured beside accuracy: likelihoods of text, and numbers of studies, which train no transformer."""

import math
from dataclasses import dataclass, field

from arith.errors import UsageError

BEFORE, AFTER = "english before training", "english after training"  # wordings of `Language` for pretrained models


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


@dataclass(frozen=True)
class Language:
    """How well one model predicts the words of dialogue, or a pretrained one a fixed English text.

    Args:
        wording: whether the wordings were seen in training or held out; for English text, `BEFORE` or `AFTER`.
        lines, characters, words: the size of the text, digits left out.
        nats: the negative log likelihood of all characters together.
        tokens: of a pretrained model, by which perplexity is usually given; None for arith's own, a character a token.
    """

    # Digits are left out: they are a matter of arithmetic, and would hide what changes in the language.

    label: str
    encoding: str
    wording: str
    model_seed: int
    data_seed: int
    lines: int
    characters: int
    words: int
    nats: float
    tokens: int | None = None

    @property
    def is_english(self) -> bool:
        return self.wording in (BEFORE, AFTER)

    @property
    def perplexity_a_token(self) -> float:
        return math.exp(self.nats / (self.tokens or self.characters))

    @property
    def bits_a_character(self) -> float:
        return self.nats / self.characters / math.log(2)

    @property
    def perplexity_a_word(self) -> float:
        return math.exp(self.nats / self.words)


def check_language(row: Language, where: str) -> None:
    """Refuse a size or likelihood that no text can have."""
    for name in ("lines", "characters", "words", "nats"):
        if not getattr(row, name) > 0:
            raise UsageError(f"{where}: field '{name}' cannot be so, got {getattr(row, name)!r}")
