"""Settings, provenance, and the command that makes the numbers again."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from arith.report.markup import Markup, element, folded, join, table

# A page is sent to others: of a path on this machine they get the last part, which says what it is.
_ABSOLUTE = re.compile(r"(?:(?<=[\s'\"=])|(?<=hf:)|^)(?:/|~/|[A-Za-z]:\\)(?:[^\s'\"]*[/\\])?([^\s'\"/\\]+)")


def without_paths(text: str) -> str:
    """The text with the last part alone of each absolute path.

    >>> without_paths("arith train --import /home/me/own.py --out=/tmp/a runs/b")
    'arith train --import own.py --out=a runs/b'
    """
    return _ABSOLUTE.sub(r"\1", text)


def provenance_part(records: Mapping[str, Mapping[str, Any]], abouts: Mapping[str, Mapping[str, Any]]) -> Markup:
    """Runs with their settings, results files with what they say of their runs.

    Args:
        records: by name, what run.json holds.
        abouts: by name, the `about` of a results file.
    """
    return join(
        *(_run(name, record) for name, record in records.items()),
        *(_file(name, about) for name, about in abouts.items() if about),
    )


def commands_of(records: Mapping[str, Mapping[str, Any]], abouts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The commands that make the measured numbers, each once."""
    found = [values["command"] for values in (*records.values(), *abouts.values()) if "command" in values]
    return list(dict.fromkeys(without_paths(str(command)) for command in found))


def _run(name: str, record: Mapping[str, Any]) -> Markup:
    config = record.get("config")
    flat = _flatten(config) if isinstance(config, Mapping) else []
    rows = [[key, without_paths(value)] for key, value in flat]
    made = [[key, without_paths(value)] for key, value in _flatten({k: v for k, v in record.items() if k != "config"})]
    return join(
        element("h3", name),
        table(["fact", "value"], made, f"How {name} was made"),
        folded(f"All {len(rows)} settings", table(["setting", "value"], rows, f"Settings of {name}")),
    )


def _file(name: str, about: Mapping[str, Any]) -> Markup:
    """A results file: what it says of itself, and of its runs those facts that differ."""
    runs = about.get("runs")
    runs = runs if isinstance(runs, Mapping) else {}
    own = [[key, without_paths(value)] for key, value in _flatten({k: v for k, v in about.items() if k != "runs"})]
    parts: list[str] = [element("h3", name)]
    if own:
        parts.append(table(["fact", "value"], own, f"How {name} was made"))
    if runs:
        parts.append(folded(f"{len(runs)} runs", _runs(runs)))
    return join(*parts)


def _runs(runs: Mapping[str, Any]) -> Markup:
    facts = {
        name: dict(_flatten(record if isinstance(record, Mapping) else {"": record})) for name, record in runs.items()
    }
    columns = list(dict.fromkeys(key for own in facts.values() for key in own))
    rows = [[name, *(without_paths(own.get(key, "")) for key in columns)] for name, own in facts.items()]
    return table(["run", *columns], rows, "Runs")


def _flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested tables as names with dots.

    >>> _flatten({"a": {"b": 1}, "c": [1, 2]})
    [('a.b', '1'), ('c', '1, 2')]
    """
    found: list[tuple[str, str]] = []
    for name, value in values.items():
        key = without_paths(str(name))  # the user's files are the names of their hashes
        if isinstance(value, Mapping):
            found += _flatten(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", _plain(value)))
    return found


def _plain(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
