"""Numbers of every setting in the catalogue: far out of range they are refused in words, or give finite numbers."""

import inspect
import typing
from collections.abc import Iterator

import pytest
import torch

from arith.catalogue.build import GIVEN, encoding
from arith.catalogue.entries import DECORATIONS, ENCODINGS, SCHEMES, TASKS, WORKINGS
from arith.catalogue.named import format_named, task_named
from arith.catalogue.registry import Catalogue
from arith.errors import UsageError

EXTREMES = ("-1", "0", "1e-30", "1e30", "nan", "inf", "")


def number_settings(catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    for name in catalogue.names():
        make = catalogue.load(name)
        types = typing.get_type_hints(make.__init__ if inspect.isclass(make) else make)
        for setting in inspect.signature(make).parameters:
            kind = types.get(setting)
            if setting not in GIVEN and {int, float} & {kind, *typing.get_args(kind)}:
                yield name, setting


def check_encoding(text: str) -> None:
    built = encoding(text, width=32, heads=4, layers=2, tokens=64, digits=12)
    for tensor in built.state_dict().values():
        assert torch.isfinite(tensor).all(), text


@pytest.mark.parametrize("extreme", EXTREMES)
def test_extreme_settings_are_refused_or_harmless(extreme: str) -> None:
    found = 0
    kinds = [(ENCODINGS, "{}", check_encoding), (SCHEMES, "learned@{}", check_encoding), (TASKS, "{}", task_named)]
    kinds += [(catalogue, "plain+{}", format_named) for catalogue in (DECORATIONS, WORKINGS)]
    for catalogue, written, build in kinds:
        for name, setting in number_settings(catalogue):
            found += 1
            try:
                build(written.format(f"{name}:{setting}={extreme}"))
            except UsageError as error:
                assert name in str(error)  # noqa: PT017  not every one raises
    assert found > 60
