"""Models by name."""

import pytest

from arith.config.presets import PRESETS
from arith.config.schema import RunConfig
from arith.experiment.experiment import Experiment


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_build(preset: str) -> None:
    import torch

    config = RunConfig.of({"model": {"preset": preset}})
    with torch.device("meta"):
        count = Experiment.of(config).model().parameter_count()
    assert 50_000 < count < 110_000_000


def test_gpt2_small_is_its_shape() -> None:
    import torch

    config = RunConfig.of({"model": {"preset": "gpt2-small"}, "encoding": "learned"})
    model = config.model
    assert (model.layers, model.width, model.heads, model.hidden) == (12, 768, 12, 3072)
    with torch.device("meta"):
        assert 84e6 < Experiment.of(config).model().parameter_count() < 87e6
