"""Views of a class."""

from pathlib import Path

import pytest
import torch

from arith.errors import UsageError
from arith.studies.views import Views


@pytest.mark.parametrize(
    ("settings", "rare", "first"),
    [({}, (0.4, 0.6), 1.0), ({"augmented": True}, (0.99, 1.0), 1.0), ({"linear": True}, (0.99, 1.0), 1.0)],
)
def test_rare_views_are_learned_only_with_augmentation_or_a_linear_network(
    settings: dict[str, bool], rare: tuple[float, float], first: float
) -> None:
    (row,) = Views(shares=(0.1,), **settings).run("a", 0).measurements  # type: ignore[arg-type]
    assert rare[0] <= row.measures["accuracy on rare views"] <= rare[1]
    assert row.measures["accuracy on view 1"] >= first
    assert row.measures["accuracy in training"] == 1


def test_augmentation_exchanges_views_and_keeps_what_noise_weighs() -> None:
    study = Views(dimension=50, samples=20)
    x, y = study._data(20, 0.1, torch.Generator().manual_seed(0))
    seen, wanted = study._augment(x, y, torch.Generator().manual_seed(1))
    assert len(seen) == len(wanted) == 60
    assert torch.equal(wanted, y.repeat(3))
    views = seen.view(3, 20, 2, 50)[:, :, 0, :3]
    assert torch.equal(views.abs().sum(0), torch.ones(20, 3)), "each view once"
    assert torch.equal(views.sum(2), y.expand(3, 20)), "with the label's sign"
    noise = seen.view(3, 20, 2, 50)[:, :, 1].norm(dim=2)
    torch.testing.assert_close(noise, x[:, 1].norm(dim=1).expand(3, 20))


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(UsageError, match=r"at most 0\.5 each"):
        Views(shares=(0.6,))
    with pytest.raises(UsageError, match="fewer than dimension = 3; got 3"):
        Views(dimension=3)


def test_series_follow_the_tracked_share_and_are_drawn(tmp_path: Path) -> None:
    study = Views(shares=(0.05, 0.1), samples=20, dimension=30, tests=20, steps=20)
    found = study.run("plain", 3)
    assert [row.name for row in found.series] == ["first view", "rare views", "noise"]
    assert {row.steps[-1] for row in found.series} == {20}
    assert [row.at for row in found.measurements] == [0.05, 0.1]
    assert study.draw(found, tmp_path / "views", "")[-1].suffix == ".csv"
