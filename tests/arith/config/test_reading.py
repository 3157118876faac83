import dataclasses
import json

import pytest

from arith.config.presets import PRESETS
from arith.config.reading import differences, digit_list, digit_range
from arith.config.schema import RunConfig
from arith.errors import UsageError
from arith.experiment.experiment import Experiment
from arith.training.environment import find_device


def test_defaults_are_a_sound_run() -> None:
    Experiment.of(RunConfig())


def test_configurations_survive_json() -> None:
    config = RunConfig.of({"encoding": "t5", "data": {"digits": "2-5"}, "training": {"betas": [0.9, 0.95]}})
    assert RunConfig.of(json.loads(json.dumps(config.as_dict()))) == config
    assert config.data.digits == (2, 5)


def test_values_are_replaced_and_others_kept() -> None:
    config = RunConfig.of({"model": {"layers": 3}}).with_values({"model": {"width": 32}})
    assert (config.model.layers, config.model.width) == (3, 32)


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


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"modle": {}}, "no setting is called 'modle'. Did you mean 'model'"),
        ({"model": {"layer": 2}}, "no setting is called 'model.layer'. Did you mean 'layers'"),
        ({"model": {"preset": "nanno"}}, "no model preset is called 'nanno'. Did you mean 'nano'"),
        (
            {"model": {"activation": "geluu"}},
            "is one of gelu, gated-gelu, gated-sine; got 'geluu'. Did you mean 'gelu'?",
        ),
        ({"training": {"steps": "many"}}, "training.steps is int, got 'many'"),
        ({"training": {"steps": True}}, "training.steps is int, got True"),
        ({"data": {"digits": "0-4"}}, "operands have 1 digit or more"),
        ({"data": {"digits": "4-2"}}, "a range rises"),
        ({"data": {"digits": "a"}}, "digits are a range such as 1-4, got 'a'"),
        ({"data": {"digits": [1, 2, 3]}}, "data.digits has 2 entries"),
        ({"model": 3}, "model is a table of settings, got 3"),
    ],
)
def test_wrong_values_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        RunConfig.of(values)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"task": "additoin"}, "no task is called 'additoin'. Did you mean 'addition'"),
        ({"format": "padded-reversd"}, "Did you mean 'padded-reversed'"),
        ({"format": "padded:width=3"}, "operand of 20 digits does not fit the format's width of 3"),
        ({"format": "plain", "encoding": "coupled"}, "and format 'plain' does not pad it"),
        ({"encoding": "learned:highest=9"}, "has no setting 'highest'"),
        ({"evaluation": {"suites": "chains"}}, "no test suite is called 'chains'. Did you mean 'chain'"),
        ({"data": {"carry_mix": 1.5}}, "carry_mix is a share between 0 and 1"),
        ({"model": {"heads": 3}}, "a model's width is a multiple of its heads"),
        ({"model": {"key_heads": 3}}, "model.heads is a multiple of model.key_heads"),
        ({"training": {"steps": 0}}, "training.steps is 1 or more, got 0"),
        ({"training": {"learning_rate": 0.0}}, "learning_rate is above 0"),
        ({"evaluation": {"digits": "0"}}, "1 digit or more"),
        ({"data": {"digits": [0, 4]}}, "1 digit or more"),
        ({"evaluation": {"digits": [0, 5]}}, "evaluation.digits are 1 or more, got 0"),
        ({"evaluation": {"digits": []}}, "and is empty"),
        (
            {"task": "reverse", "format": "plain", "evaluation": {"suites": ["nines"]}, "encoding": "rope"},
            "for two numbers",
        ),
        ({"task": "reverse", "encoding": "rope"}, "padding adds zeros, and reverse takes them for digits"),
        ({"task": "copy:distinct=true", "format": "plain", "encoding": "rope"}, "has no 20"),
        (
            {"task": "copy", "format": "plain", "encoding": "rope", "data": {"carry_mix": 0.5}},
            "is for additions of two numbers",
        ),
        ({"data": {"uniform": "values", "carry_mix": 0.5}}, "is for operands drawn uniformly over lengths"),
        ({"data": {"uniform": "values", "digits": "2-4"}}, "uniform over values have 1 digit and more"),
        ({"task": "addition:operands=1"}, "a sum has 2 operands or more"),
        ({"data": {"seed": -1}}, "data.seed: a seed is an integer from 0"),
        ({"training": {"evaluate_samples": 0}}, "training.evaluate_samples is 1 or more"),
        ({"training": {"betas": [0.9, 1.5]}}, "training.betas are below 1"),
        ({"model": {"hidden": 0}}, "model.hidden is 1 or more"),
        ({"training": {"warmup": -5}}, "training.warmup and training.weight_decay are 0 or more"),
        ({"training": {"clip": -1.0}}, "training.clip is above 0"),
        ({"encoding": "rope:base=-3"}, "rope's base is above 0"),
        ({"task": "subtraction", "evaluation": {"suites": ["chain"]}}, "additions of two numbers, not for subtraction"),
        ({"task": "addition:operands=2.5"}, "is a whole number, got '2.5'"),
        ({"encoding": "relative:radius=-5"}, "radius is a distance of 1 or more"),
        (
            {"format": "padded:width=20", "data": {"schedule": 9, "first_digits": "1-25"}},
            "operand of 25 digits does not fit the format's width of 20",
        ),
        ({"data": {"samples": 0}}, "a fixed set has 1 sample or more"),
        (
            {"format": "interleaved", "data": {"mix": "50% addition:operands=3"}},
            "interleaved operands have as many of them as one another",
        ),
        ({"format": "plain+groups:size=0"}, "a group has 1 to 1,000 digits"),
        ({"format": "plain+hints+spaces"}, "a format has one decoration"),
        ({"format": "plain+scratchpad", "task": "copy"}, "columns of sums and differences, not for copy"),
        ({"format": "plain+scratchpad", "encoding": "coupled"}, "which a step's place among others does not tell"),
        ({"evaluation": {"task": "copy"}}, "padding adds zeros, and copy takes them for digits"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        Experiment.of(RunConfig.of(values))
    assert message in str(raised.value)


def test_what_is_longest_is_known_before() -> None:
    scheduled = Experiment.of(RunConfig.of({"data": {"schedule": 900, "first_digits": "1-25"}}))
    assert scheduled.digits == 26
    mixed = RunConfig.of({"data": {"mix": "10% addition 30"}, "encoding": "learned"})
    assert Experiment.of(mixed).digits == 31
    one = RunConfig.of({"data": {"first_digits": 2, "schedule": 5}})
    assert one.data.first_digits == (2, 2)


def test_lists_of_digits() -> None:
    assert digit_list("1-3,3,10") == (1, 2, 3, 10)
    assert digit_range("7") == (7, 7)


def test_differences_are_named() -> None:
    old, new = RunConfig(), RunConfig.of({"encoding": "rope", "training": {"steps": 5}})
    assert differences(dataclasses.asdict(old), dataclasses.asdict(new)) == [
        "encoding: coupled-window before, rope now",
        "training.steps: 800 before, 5 now",
    ]


def test_unknown_devices_are_refused() -> None:
    assert find_device("cpu").type == "cpu"
    with pytest.raises(UsageError, match="no device is called 'tpuu'"):
        find_device("tpuu")
