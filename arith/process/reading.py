"""Text files as people have them: UTF-8 whatever the locale, with or without a byte order mark, refused in words."""

import json
import tomllib
from pathlib import Path
from typing import Any

from arith.errors import UsageError

# A byte order mark is what Windows editors put first, and no part of the text.
ENCODING = "utf-8-sig"


def read_text(path: Path) -> str:
    """Read a file of text.

    Raises:
        UsageError: it cannot be read, or is no UTF-8.
    """
    try:
        return path.read_text(encoding=ENCODING)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text in UTF-8: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error


def read_lines(path: Path) -> list[str]:
    """Read a file of JSON lines, or the like: only a line feed ends a line, blank last lines are left out.

    `str.splitlines` would also split at U+2028 and others, which JSON strings may hold as they are.

    Raises:
        UsageError: see `read_text`.
    """
    lines = [line.removesuffix("\r") for line in read_text(path).split("\n")]
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        UsageError: see `read_text`; or it is no TOML.
    """
    text = read_text(path)
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # too many digits are a plain ValueError
        raise UsageError(f"{path} is no TOML: {error}") from error


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UsageError: see `read_text`; or it is no JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no JSON: {error}") from error
