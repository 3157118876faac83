"""Pictures of encodings, drawn from what they do."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result
from torch import Tensor

from arith.catalogue.entries import ALIASES, ENCODINGS, SCHEMES
from arith.catalogue.registry import Catalogue
from arith.encodings.base import Encoding, Positions
from arith.gallery.effects import demonstrate
from arith.gallery.pictures import caption, draw, draw_one

NAMES = [*ENCODINGS.names(), *ALIASES]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pictures")
    return {name: draw_one(name, folder / f"{name}.svg") for name in NAMES}


def test_every_encoding_has_its_picture_in_the_gallery(root: Path) -> None:
    have = {path.stem for path in (root / "docs" / "pictures").iterdir()}
    schemes = {f"scheme-{name}" for name in SCHEMES.names()}
    assert have == {*NAMES, *schemes}, "draw them anew: arith show gallery --pictures docs/pictures > docs/gallery.md"


def test_pictures_are_small_and_differ(drawn: dict[str, Path]) -> None:
    pictures = {name: path.read_bytes() for name, path in drawn.items()}
    assert len(set(pictures.values())) == len(NAMES)
    assert {name: len(picture) for name, picture in pictures.items() if len(picture) >= 60_000} == {}


@pytest.mark.parametrize("name", ["nope", "coupled-window", "fire", "learned"])
def test_pictures_are_each_time_the_same(name: str, drawn: dict[str, Path], tmp_path: Path) -> None:
    torch.manual_seed(1)
    assert draw_one(name, tmp_path / "again.svg").read_bytes() == drawn[name].read_bytes()


def test_the_command_draws_into_a_folder(
    arith: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ENCODINGS, "_targets", {"alibi": "arith.encodings.biases:ALiBi"})
    monkeypatch.setattr("arith.gallery.pictures.ALIASES", {})
    tags = Catalogue("position scheme", {"tags": ("arith.encodings.by_token:Tags", "a random number")})
    monkeypatch.setattr("arith.gallery.pictures.SCHEMES", tags)
    assert [path.name for path in draw(tmp_path / "direct")] == ["alibi.svg", "scheme-tags.svg"]
    monkeypatch.setattr("arith.gallery.page.render_page", lambda: "the page")
    assert arith("show", "gallery", "--pictures", "by/command").output == "the page"
    assert (tmp_path / "by/command/alibi.svg").read_bytes() == (tmp_path / "direct/alibi.svg").read_bytes()


def test_a_new_encoding_is_drawn_from_what_it_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ENCODINGS, "_targets", dict(ENCODINGS._targets))
    monkeypatch.setattr(ENCODINGS, "_lines", dict(ENCODINGS._lines))

    @ENCODINGS.register("test-both")
    class Both(Encoding):
        """Adds the position and turns keys round at every `period`th."""

        def __init__(self, width: int, period: int) -> None:
            super().__init__()
            self.direction = torch.ones(width)
            self.period = period

        def embed(self, x: Tensor, positions: Positions) -> Tensor:
            return x + (positions.q[0] - 10)[..., None] * self.direction

        def rotate(self, q: Tensor, k: Tensor, positions: Positions) -> tuple[Tensor, Tensor]:
            turned = 1 - 2 * (positions.k[0] % self.period == 0)
            return q, k * turned[:, None, :, None]

    seen = demonstrate("test-both")
    assert seen.spec == "test-both:period=8"
    assert [effect.place for effect in seen.effects] == ["input", "rotation"]
    added, turned = (effect.values[0] for effect in seen.effects)
    assert added[0, 1] == pytest.approx(1)
    assert added[0, 20] == pytest.approx(-1)
    assert added[9].isnan().all()  # where nothing is added
    assert turned[-1, 7] == pytest.approx(-1)
    assert turned[-1, 8] == pytest.approx(1)
    assert "alike" in caption(seen)
    assert "same content" in caption(seen)
    assert draw_one("test-both", tmp_path / "both.svg").stat().st_size > 10_000


def test_captions_say_what_depends_on_the_content() -> None:
    told = {name for name in NAMES if "depend on the content" in caption(demonstrate(name))}
    assert told == {"cope", "dape", "forgetting", "relative-logits", "shaw", "transformer-xl"}


def test_captions_tell_what_is_an_example() -> None:
    assert "hold an example" in caption(demonstrate("t5"))
    assert "hold an example" not in caption(demonstrate("alibi"))
    assert "dashed, from query" in caption(demonstrate("fire"))


def test_several_places_are_drawn_over_tokens(
    monkeypatch: pytest.MonkeyPatch, drawn: dict[str, Path], tmp_path: Path
) -> None:
    monkeypatch.setitem(ALIASES, "test-two", ("learned@abacus:origin=cyclic+rope@coupled", "two places"))
    assert [effect.place for effect in demonstrate("test-two").effects] == ["input", "rotation"]
    assert draw_one("test-two", tmp_path / "two.svg").read_bytes() != drawn["abacus"].read_bytes()
