"""A configuration brought to life."""

from arith.config.schema import RunConfig
from arith.experiment.experiment import Experiment


def test_what_is_longest_is_known_before() -> None:
    scheduled = Experiment.of(RunConfig.of({"data": {"schedule": 900, "first_digits": "1-25"}}))
    assert scheduled.digits == 26
    mixed = RunConfig.of({"data": {"mix": "10% addition 30"}, "encoding": "learned"})
    assert Experiment.of(mixed).digits == 31
    one = RunConfig.of({"data": {"first_digits": 2, "schedule": 5}})
    assert one.data.first_digits == (2, 2)
