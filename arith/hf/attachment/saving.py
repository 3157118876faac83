"""Save what is attached to a model, and attach it again.

transformers does not attach: its `save_pretrained` writes our weights, and `from_pretrained` drops them as unexpected.

folder/position.safetensors     the encoding's parameters, and what each token is to numbers
folder/position.json            its text, its lengths, the model's shape, and the sha256 of the other file
"""

import json
import os
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from arith.errors import UsageError
from arith.hf.attachment.architecture import Architecture
from arith.hf.attachment.attached import attached, check_free, inside
from arith.hf.attachment.attachment import Attachment
from arith.hf.attachment.settings import NUMBERS, TEXT, VERSION, Settings, hash_of
from arith.hf.numbers.given import IdsOf
from arith.hf.numbers.numerals import Numerals


def save(model: Any, folder: str | os.PathLike[str]) -> Path:
    """Write what is attached to a model. `model.save_pretrained` does so too, and thus every checkpoint of a Trainer.

    Args:
        model: the model.
        folder: where to write, made if it is not there; it may be the model's own.

    Returns:
        The folder.

    Raises:
        UsageError: nothing is attached.
    """
    attachment = attached(model)
    if not isinstance(attachment, Attachment):
        what = "nothing" if attachment is None else f"{attachment.title}, which has no numbers,"
        raise UsageError(f"{what} is attached to this {type(model).__name__}: there is nothing to save")
    return attachment.write(folder)


def load(model: Any, folder: str | os.PathLike[str], ids: IdsOf | None = None) -> Attachment:
    """Attach to a model what `save` wrote. The tokenizer is not needed again, as what it knows of digits was saved.

    Args:
        model: a model of the same shape, to which nothing is attached.
        folder: the folder that `save` wrote.
        ids: the function that gives ids, if it was attached with one: code is not saved.

    Raises:
        UsageError: a file is missing or damaged, or the encoding was attached to a model of another shape.
    """
    whole, model = model, inside(model)
    check_free(model)
    path = Path(folder)
    described = _read_description(path)
    settings = Settings(**{field.name: described[field.name] for field in fields(Settings) if field.name in described})
    if ids is not None and not settings.given:
        raise UsageError(f"'{settings.encoding}' in {path} was attached without ids=, and reads its ids off the text")
    architecture = Architecture.of(model, settings.keeping)
    differing = [
        f"{name} {described['model'].get(name)} there and {here} here"
        for name, here in asdict(architecture.shape).items()
        if described["model"].get(name) != here
    ]
    if differing:
        raise UsageError(
            f"{path} was attached to another model than this {type(model).__name__}: {', '.join(differing)}"
        )
    if not (path / NUMBERS).is_file() or hash_of(path / NUMBERS) != described["sha256"]:
        raise UsageError(f"{path / NUMBERS} is missing or was altered after it was written")
    numbers = load_file(path / NUMBERS)
    numerals = Numerals.load(numbers)
    attachment = Attachment(settings, architecture, numerals, ids_of=ids)
    attachment.load_state_dict({**({} if numerals is None else vars(numerals)), **numbers})
    return attachment.put_into(model, architecture, whole)


def _read_description(path: Path) -> dict[str, Any]:
    if not (path / TEXT).is_file():
        raise UsageError(f"there is no {TEXT} in {path}: nothing was saved there with arith.hf.save")
    try:
        described: dict[str, Any] = json.loads((path / TEXT).read_text(encoding="utf-8"))
        version = described["version"]
        if version == VERSION:
            # Looked up for the KeyError; a file of another version may have other keys, and is named as such below.
            needed = [field.name for field in fields(Settings) if field.default is MISSING]
            _ = described["sha256"], described["model"], [described[name] for name in needed]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path / TEXT} is damaged: {error!r}") from error
    if version != VERSION:
        raise UsageError(f"{path / TEXT} is of version {version}, and this arith reads version {VERSION}")
    return described
