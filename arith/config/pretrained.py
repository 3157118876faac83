"""The name of a pretrained model to start training from: `hf:FOLDER`. No torch."""

import json
from pathlib import Path

from arith.errors import UsageError

ENCODING = "pretrained"  # the name of such a model's own encoding, in place of one from the catalogue
PREFIX = "hf:"
CONFIG = "config.json"


def make_absolute(text: str) -> str:
    """The same name with an absolute path, so that the run can be resumed from another folder.

    >>> make_absolute("gpt2")
    Traceback (most recent call last):
    ...
    arith.errors.UsageError: a pretrained model is named hf:FOLDER, a local one of Hugging Face; got 'gpt2'
    """
    return f"{PREFIX}{folder_of(text).resolve()}"


def folder_of(text: str) -> Path:
    """The folder of a named model.

    Raises:
        UsageError: the name has no folder, or what is there is no model of another library.
    """
    folder = text.removeprefix(PREFIX)
    if not text.startswith(PREFIX) or not folder:
        raise UsageError(f"a pretrained model is named hf:FOLDER, a local one of Hugging Face; got '{text}'")
    # Such a folder has a config.json too, but not the fields from which a pretrained model's shape is read.
    if is_model(Path(folder)):
        raise UsageError(
            f"{folder} is a model of arith's own, and --init takes one of another kind. To train it further, resume "
            "the run that it comes from: arith train --resume --out RUN"
        )
    if not (Path(folder) / CONFIG).is_file():
        raise UsageError(
            f"{folder} holds no model of Hugging Face (no config.json). Name a local folder, as save_pretrained writes "
            "it; nothing is downloaded"
        )
    return Path(folder)


def is_model(folder: Path) -> bool:
    """Whether a folder is one that `arith export` wrote."""
    try:
        values = json.loads((folder / CONFIG).read_text())
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and values.get("model_type") == "arith"
