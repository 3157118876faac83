"""The models of a page, and what it asks of them."""

import shutil
from pathlib import Path

import pytest

from arith.errors import UsageError
from arith.experiment import shipped
from arith.play import session as session_file
from arith.play.session import Session, collect_places


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(collect_places(()))


def test_shipped_models_can_always_be_chosen_and_given_ones_come_first(half_trained: Path) -> None:
    places = collect_places((half_trained, Path("multiplication")))
    assert [*places][:2] == [str(half_trained), "multiplication"]
    assert {*places} == {str(half_trained), *shipped.names()}
    session = Session(places)
    shown = session.show(str(half_trained), "12+7")
    assert shown["problem"] == "12+7"
    assert shown["changes"] is None
    told = {one["name"]: one["line"] for one in session.models()}
    assert {*told} == {*places}
    assert "99% sure to 1000 digits" in told["addition"]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("gone", "gone holds no run, and no shipped model is called so"),
        ("aditon", "Did you mean 'addition'"),
        ("a.txt", "a.txt holds no run"),
        ("empty", "empty holds no run"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=message):
        collect_places((Path(place),))


def test_only_the_models_of_the_page_can_be_asked(half_trained: Path, tmp_path: Path) -> None:
    session = Session(collect_places(()))
    shutil.copytree(half_trained, tmp_path / "run", ignore=shutil.ignore_patterns("lock"))
    with pytest.raises(UsageError, match="there is no model"):
        session.show(str(tmp_path / "run"), "1+2")


def test_problems_are_compared_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_file, "KEPT", 2)
    session = Session(collect_places(()))
    assert session.example("addition") == "12+34"
    for tens in "123":
        shown = session.show("addition", f"1{tens}3+456", "103+456")
        assert shown["changes"]["tokens"][0] == 2
        assert len(session._traces) == 2
    heads = session.heads("addition", "123+456", 0, "133+456")
    assert len(heads["heads"]) == len(heads["before"]) == 2
    # What it is compared with may be of another length, another task, or no problem at all.
    assert session.heads("addition", "123+456", 0, "1+4")["before"] is None
    assert session.show("addition", "123+456", "12*34")["changes"] is None
    with pytest.raises(UsageError, match="has 1 passes, and none with the number 1"):
        session.heads("addition", "123+456", 1)
    with pytest.raises(UsageError, match="up to 240 characters"):
        session.show("addition", "1" * 241)


@pytest.mark.parametrize(
    "problem", ["", " ", "+", "=", "1+", "1+2+3", "-1+2", "1e9+1", "\u0967+\u0968", "\ud800", "1\x00+2"]
)
def test_whatever_is_typed_is_no_failure(session: Session, problem: str) -> None:
    for ask in (session.show, session.try_digits):
        with pytest.raises(UsageError, match="such as 12"):
            ask("addition", problem)
