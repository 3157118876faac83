"""Models by name."""

import pytest

from arith.config.presets import PRESETS
from arith.config.schema import RunConfig
from arith.experiment.experiment import Experiment

PHI = {"phi-1-small": (250e6, 255e6), "phi-1": (1.20e9, 1.22e9), "phi-3-mini": (3.6e9, 3.7e9)}  # without vocabularies


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_build(preset: str) -> None:
    import torch

    config = RunConfig.of({"model": {"preset": preset}})
    with torch.device("meta"):
        count = Experiment.of(config).model().parameter_count()
    low, high = PHI.get(preset, (50_000, 110e6))
    assert low < count < high
    assert (config.model.block == "parallel") == preset.startswith("phi-1")


def test_gpt2_small_is_its_shape() -> None:
    import torch

    config = RunConfig.of({"model": {"preset": "gpt2-small"}, "encoding": "learned"})
    model = config.model
    assert (model.layers, model.width, model.heads, model.hidden) == (12, 768, 12, 3072)
    with torch.device("meta"):
        assert 84e6 < Experiment.of(config).model().parameter_count() < 87e6
