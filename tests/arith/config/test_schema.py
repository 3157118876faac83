"""A configuration: its defaults, its values, and the wrong ones."""

import json

import pytest

from arith.config.schema import RunConfig
from arith.errors import UsageError
from arith.experiment.experiment import Experiment


def test_defaults_are_a_sound_run() -> None:
    Experiment.of(RunConfig())


def test_configurations_survive_json() -> None:
    values = {"encoding": "t5", "data": {"digits": "2-5"}, "training": {"betas": [0.9, 0.95]}}
    config = RunConfig.of({**values, "model": {"loops": "2-5"}})
    assert config.model.loops == (2, 5)
    assert RunConfig.of(json.loads(json.dumps(config.as_dict()))) == config
    assert config.data.digits == (2, 5)


def test_a_whole_number_is_saved_as_the_same_factor() -> None:
    assert repr(RunConfig.of({"model": {"sharpen": 2}}).model.sharpen) == "2.0"
    tested = RunConfig.of({"model": {"sharpen": "log-n"}})
    assert (tested.tested_sharpen, tested.with_values({"evaluation": {"sharpen": 1}}).tested_sharpen) == ("log-n", 1.0)


def test_values_are_replaced_and_others_kept() -> None:
    config = RunConfig.of({"model": {"layers": 3}}).with_values({"model": {"width": 32}})
    assert (config.model.layers, config.model.width) == (3, 32)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"modle": {}}, "no setting is called 'modle'. Did you mean 'model'"),
        ({"model": {"layer": 2}}, "no setting is called 'model.layer'. Did you mean 'layers'"),
        ({"model": {"preset": "nanno"}}, "no model preset is called 'nanno'. Did you mean 'nano'"),
        (
            {"model": {"activation": "geluu"}},
            "is one of gelu, gated-gelu, gated-silu, gated-sine; got 'geluu'. Did you mean 'gelu'?",
        ),
        ({"training": {"steps": "many"}}, "training.steps is int, got 'many'"),
        ({"training": {"steps": True}}, "training.steps is int, got True"),
        ({"model": {"sharpen": "log_n"}}, "model.sharpen is float or log-n, got 'log_n'. Did you mean 'log-n'?"),
        ({"evaluation": {"sharpen": True}}, "evaluation.sharpen is float or log-n, got True"),
        ({"data": {"digits": "0-4"}}, "operands have 1 digit or more"),
        ({"data": {"digits": "4-2"}}, "a range rises"),
        ({"data": {"digits": "a"}}, "digits are a range such as 1-4, got 'a'"),
        ({"model": {"loops": "16-12"}}, "model.loops is a number, or a range that rises such as 12-16: got '16-12'"),
        ({"model": {"loops": [4, 2]}}, "a range that rises such as 12-16: got [4, 2]"),
        ({"model": {"loops": "1-2-3"}}, "a range that rises such as 12-16: got '1-2-3'"),
        ({"model": {"loops": True}}, "a range that rises such as 12-16: got True"),
        ({"model": {"loops": 1.5}}, "a range that rises such as 12-16: got 1.5"),
        ({"data": {"digits": [1, 2, 3]}}, "data.digits has 2 entries"),
        ({"model": 3}, "model is a table of settings, got 3"),
    ],
)
def test_wrong_values_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        RunConfig.of(values)
    assert message in str(raised.value)
