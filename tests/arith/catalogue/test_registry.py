"""Registering a name, and importing the file that does."""

from pathlib import Path

import pytest

import arith
from arith.catalogue.entries import ENCODINGS, SCHEMES
from arith.catalogue.registry import Catalogue, import_file
from arith.errors import UsageError

SHAPE = {"width": 32, "heads": 4, "layers": 2}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = (", "fails: SyntaxError"),
        ("x = 1\nprint(1 / 0)", "fails in line 2: ZeroDivisionError: division by zero"),
        ("import nothing_of_this_name", "fails in line 1: ModuleNotFoundError"),
        (
            "from arith.catalogue import ENCODINGS as e\ne.register('two words')(int)",
            "'two words' cannot be the name",
        ),
        ("from arith.catalogue import SCHEMES as s\ns.register('a+b')(int)", "'a+b' cannot be the name"),
    ],
)
def test_files_that_cannot_be_imported_say_why(tmp_path: Path, source: str, message: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(source)
    with pytest.raises(UsageError) as raised:
        import_file(str(file))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


class Wrong:
    """Neither an encoding nor a scheme."""


def test_what_is_registered_and_is_no_encoding_or_scheme_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for catalogue in (ENCODINGS, SCHEMES):
        monkeypatch.setattr(catalogue, "_targets", dict(catalogue._targets))
        monkeypatch.setattr(catalogue, "_lines", dict(catalogue._lines))
        catalogue.register("test-wrong")(Wrong)
        catalogue.register("test-dict")(dict)
    with pytest.raises(UsageError, match="whose arguments cannot be seen"):
        arith.encoding("test-dict", **SHAPE)
    with pytest.raises(
        UsageError, match=r"'test-wrong' is a Wrong. Derive its class from arith.encodings.base.Encoding"
    ):
        arith.encoding("test-wrong", **SHAPE)
    with pytest.raises(UsageError, match="scheme 'test-wrong' is a Wrong, which lacks levels, structure_aware"):
        arith.encoding("rope@test-wrong", **SHAPE)


def test_duplicate_names_raise() -> None:
    catalogue = Catalogue("encoding", {"rope": ("arith.encodings.rope:RoPE", "rotation")})
    with pytest.raises(UsageError, match="'rope' exists already"):
        catalogue.register("rope")(dict)
    with pytest.raises(UsageError, match="'coupled-window' exists already"):
        ENCODINGS.register("coupled-window")(dict)


def test_a_file_is_imported_once_and_its_hash_known(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from arith.catalogue import ENCODINGS\n"
        "from arith.encodings.nope import NoPE\n"
        "@ENCODINGS.register('test-mine')\n"
        "class Mine(NoPE):\n"
        "    '''Mine.'''\n"
        "    def __init__(self, heads: int, slope: float = 1.0) -> None:\n"
        "        super().__init__()\n"
        "        self.slope = slope\n"
    )
    assert import_file(str(file)) == import_file(str(file))
    assert arith.encoding("test-mine:slope=2.5", **SHAPE).parts[0].slope == 2.5
    with pytest.raises(UsageError, match="there is none at"):
        import_file(str(tmp_path / "other.py"))
