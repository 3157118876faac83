"""What determines an attachment, as it is saved."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from arith.hf.attachment.architecture import Architecture, Shape
from arith.hf.attachment.own import OWN, split_own
from arith.process.files import building, write_whole

NUMBERS, TEXT = "position.safetensors", "position.json"
VERSION = 1


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

    def write(self, folder: str | os.PathLike[str], shape: Shape, state: Mapping[str, Tensor]) -> Path:
        """Write an attachment's files, see `arith.hf.attachment.saving`.

        Args:
            folder: where to write, made if it is not there.
            shape: of the model.
            state: the attachment's parameters and tables.
        """
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        numbers = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
        # The text comes last, and holds the hash of these bytes: a kill between the two is noticed in loading.
        with building(path / NUMBERS) as aside:
            save_file(numbers, aside)
            digest = hash_of(aside)
        described = {"version": VERSION, **asdict(self), "model": asdict(shape), "sha256": digest}
        write_whole(path / TEXT, json.dumps(described, indent=2) + "\n")
        return path


def hash_of(file: Path) -> str:
    """The sha256 of a file, in hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
