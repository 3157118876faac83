"""Load a model or a tokenizer from a local Hugging Face folder: whole, or refused in words."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from arith.errors import UsageError

NAMED = 3  # missing tensors that a message names


def load_tokenizer(folder: Path, **options: Any) -> Any:
    """Load a folder's tokenizer.

    Args:
        folder: a local folder, as `save_pretrained` writes it.
        options: further arguments of `AutoTokenizer.from_pretrained`.

    Raises:
        UsageError: there is none, or it cannot be loaded.
    """
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, **options)
    except Exception as error:  # what other people's loaders raise on a damaged file is anything
        raise UsageError(f"{folder} holds no tokenizer that can be loaded: {_reason(error)}") from error


def load_config(folder: Path) -> Any:
    """Load a folder's description of its model.

    Raises:
        UsageError: there is none that transformers knows.
    """
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise UsageError(f"{folder} cannot be loaded as a causal model: {_reason(error)}") from error


def load_causal_model(folder: Path, **options: Any) -> Any:
    """Load a folder's causal language model.

    Args:
        folder: a local folder, as `save_pretrained` writes it.
        options: further arguments of `AutoModelForCausalLM.from_pretrained`.

    Raises:
        UsageError: the folder holds no such model, a file of weights is damaged, or weights are missing.
    """
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, "pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise UsageError(
                f"{file} is damaged, or a pointer to a file that was not fetched ({file.stat().st_size:,} bytes): "
                f"{_reason(error)}. Copy it anew"
            ) from error
    try:
        with without_bars():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder, local_files_only=True, output_loading_info=True, **options
            )
    except Exception as error:
        raise UsageError(f"{folder} cannot be loaded as a causal model: {_reason(error)}") from error
    model, found = loaded
    # transformers fills these in at random and warns: a measurement of such a model would be one of nothing.
    missing = sorted(found["missing_keys"]) + sorted(str(key[0]) for key in found["mismatched_keys"])
    if missing:
        listed = ", ".join(missing[:NAMED]) + (f" and {len(missing) - NAMED} more" if len(missing) > NAMED else "")
        raise UsageError(
            f"{folder} lacks {len(missing)} of the model's tensors, or has them in another shape: {listed}"
        )
    return model


@contextlib.contextmanager
def without_bars() -> Iterator[None]:
    """Within, transformers draws no progress bars, which would run into our own lines."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:  # it is one switch for the whole process, and maybe another's
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _reason(error: Exception) -> str:
    """The first line of an error's message, or its kind if it has none."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
