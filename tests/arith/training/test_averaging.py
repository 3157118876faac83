"""The running average of the weights against one computed by hand, and through a resumed run."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result

from arith.evaluation.teacher_forced import exact_matches
from arith.experiment.experiment import Experiment
from arith.experiment.run import Run
from arith.training.averaging import Average
from arith.training.loop import train
from tests.arith.short import saved_often, short

Arith = Callable[..., Result]
DECAY = 0.75  # spans 4 of the 12 steps


def trained(folder: Path, **training: object) -> tuple[Run, dict[str, torch.Tensor]]:
    config = saved_often(training={"checkpoint_every": 1, "keep": 12, **training})
    run = Run.begin(folder, config)
    return run, train(run, Experiment.of(config)).state_dict()


@pytest.mark.parametrize("freeze", [(), ("embedding",)])
def test_it_is_the_average_computed_by_hand_from_the_weights_of_every_step(
    tmp_path: Path, freeze: tuple[str, ...]
) -> None:
    run, final = trained(tmp_path / "run", average=DECAY, freeze=freeze)
    saved = [run.load_checkpoint(step) for step in range(1, 13)]
    for name in final:
        weights = torch.stack([checkpoint.weights[name].double() for checkpoint in saved])
        for step in range(1, 13):
            # The first four steps count alike; each later one takes a quarter of the whole from all before it.
            shares = torch.full((min(step, 4),), 1 / min(step, 4)).double()
            for _ in range(4, step):
                shares = torch.cat([shares * DECAY, torch.tensor([1 - DECAY]).double()])
            expected = torch.tensordot(shares, weights[:step], 1)
            assert shares.sum() == pytest.approx(1)
            torch.testing.assert_close(saved[step - 1].model[name].double(), expected, rtol=1e-5, atol=1e-6)
        assert torch.equal(final[name], saved[-1].model[name]), "what is returned, and tested, is the average"
    moved = [name for name in final if not torch.equal(saved[-1].model[name], saved[-1].weights[name])]
    assert ("embedding.weight" in moved) == (not freeze)
    assert len(moved) > 3


def test_training_goes_on_with_its_own_weights(tmp_path: Path) -> None:
    _, without = trained(tmp_path / "without")
    run, averaged = trained(tmp_path / "with", average=DECAY)
    weights = run.load_checkpoint().weights
    assert all(torch.equal(weights[name], without[name]) for name in without)
    assert not all(torch.equal(averaged[name], without[name]) for name in without)


def test_a_resumed_run_has_the_same_average_bit_for_bit(tmp_path: Path, halted: Callable[[Run], Run]) -> None:
    config = short(encoding="learned", training={"average": DECAY}, evaluation={"watch": [5]})
    experiment = Experiment.of(config)
    whole = Run.begin(tmp_path / "whole", config)
    expected = train(whole, experiment).state_dict()
    run = halted(whole)
    resumed = train(run, experiment).state_dict()
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)
    both = whole.load_checkpoint(), run.load_checkpoint()
    assert all(torch.equal(both[0].weights[name], both[1].weights[name]) for name in expected)
    rows = [{n: row.get(n) for n in ("step", "loss", "accuracy", "watched")} for row in whole.read_metrics()]
    assert rows == [{n: row.get(n) for n in ("step", "loss", "accuracy", "watched")} for row in run.read_metrics()]
    # Finished already: nothing is left to do, and the weights are the average again.
    again = train(run, experiment).state_dict()
    assert all(torch.equal(again[name], expected[name]) for name in expected)


def test_what_is_validated_is_the_average(tmp_path: Path) -> None:
    training = {"steps": 200, "batch": 32, "evaluate_every": 200, "checkpoint_every": 200, "average": 0.98}
    config = short(data={"digits": "1-1"}, training=training)
    run, experiment = Run.begin(tmp_path / "run", config), Experiment.of(config)
    train(run, experiment)
    saved, n = run.load_checkpoint(), config.training.evaluate_samples
    model, found = experiment.model(), []
    for weights in (saved.model, saved.weights):
        model.load_state_dict(weights)
        found.append(round(float(exact_matches(model.eval(), experiment.validation_data(), n).float().mean()), 4))
    assert run.read_metrics()[-1]["accuracy"] == found[0] != found[1]
    loaded, _ = run.load_model(experiment)
    assert all(torch.equal(own, saved.model[name]) for name, own in loaded.state_dict().items())


def test_parts_that_share_a_tensor_have_one_average() -> None:
    first, second = torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 2, bias=False)
    second.weight = first.weight
    model = torch.nn.Sequential(first, second)
    average = Average(model, 0.5)
    for step, value in enumerate([1.0, 3.0], 1):
        torch.nn.init.constant_(first.weight, value)
        average.update(step)
    average.replace()
    assert first.weight.unique().tolist() == [2.0]
    assert second.weight is first.weight


def test_a_pretrained_model_whose_head_is_tied_is_averaged_and_resumed(arith: Arith, gpt2: Path) -> None:
    settings = ["--init", f"hf:{gpt2}", "--digits", "1-2", "--format", "plain", "--batch", "4", "--test-digits", "2"]
    settings += [
        "--samples",
        "4",
        "--set",
        "training.average=0.5",
        "--out",
        "run",
        "--set",
        "training.evaluate_samples=4",
    ]
    assert arith("train", *settings, "--steps", "2").exit_code == 0
    again = arith("train", "--resume", "--out", "run")
    assert again.exit_code == 0, again.output


@pytest.mark.parametrize("value", ["1", "-0.1", "nan", "often"])
def test_decays_that_leave_no_average_are_refused(arith: Arith, value: str) -> None:
    ended = arith("train", "--set", f"training.average={value}", "--dry-run")
    assert ended.exit_code == 2
    assert "training.average" in ended.stderr
