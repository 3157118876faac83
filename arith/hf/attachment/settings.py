"""What determines an attachment, as it is saved."""

from dataclasses import dataclass, replace

from arith.hf.attachment.architecture import Architecture
from arith.hf.attachment.own import OWN, split_own


@dataclass(frozen=True)
class Settings:
    """What determines an attachment, beside the model.

    Args:
        encoding: a text that `arith.catalogue.spec` reads; with "own" in it, it is added to the model's own positions.
        tokens: the length of the longest sequence.
        digits: the length of the longest number; None: as many as tokens.
        format: how numbers are written, see `arith.catalogue.named`; None where no scheme looks at digits.
        given: whether ids come from the caller, in the place of those of schemes that look at digits.
    """

    encoding: str
    tokens: int
    digits: int | None
    format: str | None
    given: bool = False

    @property
    def keeping(self) -> bool:
        """Whether the model's own positions stay."""
        return split_own(self.encoding)[0]

    @property
    def added(self) -> str:
        """The encoding without the model's own positions."""
        return split_own(self.encoding)[1]

    def placed(self, architecture: Architecture) -> "Settings":
        """The same, with the layers written out in which the encoding acts."""
        own = f"{OWN}+" if self.keeping else ""
        return replace(self, encoding=own + architecture.place(self.added))
