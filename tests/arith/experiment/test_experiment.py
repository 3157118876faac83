"""A configuration brought to life."""

from arith.config.schema import RunConfig
from arith.experiment.experiment import Experiment
from arith.performance.estimate import flops_per_step


def test_what_is_longest_is_known_before() -> None:
    scheduled = Experiment.of(RunConfig.of({"data": {"schedule": 900, "first_digits": "1-25"}}))
    assert scheduled.digits == 26
    mixed = RunConfig.of({"data": {"mix": "10% addition 30"}, "encoding": "learned"})
    assert Experiment.of(mixed).digits == 31
    worked = {"format": "plain", "encoding": "rope", "data": {"mix": "20% addition 9 plain+detailed"}}
    assert Experiment.of(RunConfig.of(worked)).tokens > 9 * len("9+9+c1=9c1,")
    one = RunConfig.of({"data": {"first_digits": 2, "schedule": 5}})
    assert one.data.first_digits == (2, 2)


def test_formats_of_shares_count_as_the_main_one_does() -> None:
    plain = {"format": "plain", "encoding": "rope", "evaluation": {"digits": "1-4"}}
    alone = Experiment.of(RunConfig.of(plain))
    worked = Experiment.of(RunConfig.of({**plain, "data": {"mix": "20% addition plain+detailed"}}))
    assert (alone.supervised_by, worked.supervised_by) == ("answers", "algorithm")
    assert worked.vocabulary_size > alone.vocabulary_size
    assert worked.tokens > alone.tokens
    assert flops_per_step(worked) > 2 * flops_per_step(alone)
    prompts = [prompt for prompt, _ in worked.training_data().texts(0, 50)]
    assert prompts == [prompt for prompt, _ in alone.training_data().texts(0, 50)]
