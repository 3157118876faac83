"""Sharpness against exact eigenvalues."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from torch import Tensor

from arith.config.schema import RunConfig
from arith.data.batch import Batch
from arith.experiment.experiment import Experiment
from arith.experiment.run import Run
from arith.model.transformer import Transformer
from arith.results.schema import Results
from arith.training.loop import train
from arith.training.optimiser import build_optimizer
from arith.training.sharpness import Sharpness, hessian_product, largest_eigenvalue
from arith.training.step import training_step

Arith = Callable[..., Result]
TINY = {"width": 4, "heads": 1, "hidden": 4, "layers": 1}


def experiment_of(training: dict[str, Any], **others: Any) -> Experiment:
    values = {"data": {"digits": "1-1", "samples": 8}, "model": TINY, "encoding": "rope"} | others
    batch = {"batch": 8, "device": "cpu", "log_every": 1, "clip": 1e9, "warmup": 0, "final_rate": 1.0}
    return Experiment.of(RunConfig.of({**values, "training": {**batch, **training}}))


def exact_hessian(model: Transformer, batch: Batch) -> Tensor:
    """By differences of first derivatives, which our norms and torch's compute without a second one."""
    twin = copy.deepcopy(model).double()
    parameters = [parameter for parameter in twin.parameters() if parameter.requires_grad]
    start = torch.nn.utils.parameters_to_vector(parameters).detach()

    def gradient(point: Tensor) -> Tensor:
        torch.nn.utils.vector_to_parameters(point, parameters)
        found = torch.autograd.grad(twin.loss(batch), parameters, materialize_grads=True)
        return torch.cat([part.flatten() for part in found])

    rows = [gradient(start + step) - gradient(start - step) for step in 1e-5 * torch.eye(len(start)).double()]
    matrix = torch.stack(rows) / 2e-5
    return (matrix + matrix.T) / 2


@pytest.mark.parametrize("values", [(5.0, 4.9, -20.0), (-1.0, -2.0, -30.0), (1e-3, 1e-4, 0.0)])
def test_the_highest_eigenvalue_is_found_beside_a_larger_negative_one(values: tuple[float, ...]) -> None:
    generator = torch.Generator().manual_seed(1)
    turn, _ = torch.linalg.qr(torch.randn(60, 60, generator=generator, dtype=torch.float64))
    spectrum = torch.cat([torch.tensor(values, dtype=torch.float64), values[1] * torch.rand(57, generator=generator)])
    matrix = turn @ torch.diag(spectrum) @ turn.T
    assert largest_eigenvalue(lambda v: matrix @ v, 60) == pytest.approx(float(spectrum.max()), rel=1e-3)


@pytest.mark.parametrize("encoding", ["rope", "t5+learned@abacus", "fire"])
def test_sharpness_is_the_exact_largest_eigenvalue_of_a_tiny_model(encoding: str) -> None:
    experiment = experiment_of({"optimizer": "sgd", "momentum": 0.5}, encoding=encoding)
    model, batch = experiment.starting_model(), experiment.training_data().batch(0, 8)
    optimizer = build_optimizer(model, experiment.config.training)
    exact = float(torch.linalg.eigvalsh(exact_hessian(model, batch))[-1])
    row = Sharpness(batch, experiment.config.training).row(model, optimizer, 0.3)
    assert row["sharpness"] == pytest.approx(exact, rel=1e-3)
    assert row["edge"] == pytest.approx(exact * 0.3 / 2 / 1.5, rel=1e-3)


def test_adamw_has_the_preconditioned_one() -> None:
    experiment = experiment_of({})
    config, model = experiment.config.training, experiment.starting_model()
    optimizer, batch = build_optimizer(model, config), experiment.training_data().batch(0, 8)
    for _ in range(5):
        training_step(model, optimizer, [batch], config)
    matrix, taken = exact_hessian(model, batch), 5
    moments = torch.cat([optimizer.state[p]["exp_avg_sq"].double().flatten() for p in model.parameters()])
    diagonal = (1 - 0.9**taken) * ((moments / (1 - 0.98**taken)).sqrt() + 1e-8)
    scaled = matrix / (diagonal.sqrt()[:, None] * diagonal.sqrt())
    row = Sharpness(batch, config).row(model, optimizer, 0.01)
    assert row["edge"] == pytest.approx(float(torch.linalg.eigvalsh(scaled)[-1]) * 0.01 * 0.1 / (2 + 2 * 0.9), rel=1e-3)
    assert row["sharpness"] == pytest.approx(float(torch.linalg.eigvalsh(matrix)[-1]), rel=1e-3)


def test_frozen_parts_are_left_out() -> None:
    experiment = experiment_of({"optimizer": "sgd", "freeze": ["embedding"]})
    model, batch = experiment.starting_model(), experiment.training_data().batch(0, 8)
    size = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    product = hessian_product(model, batch)
    assert product is not None
    assert product(torch.ones(size, dtype=torch.float64)).shape == (size,)


def test_training_is_the_same_with_and_without_and_after_a_resume(tmp_path: Path) -> None:
    sgd = {"optimizer": "sgd", "momentum": 0.0, "steps": 6, "evaluate_every": 6, "evaluate_samples": 4}
    rows = {}
    for name, every in (("without", 0), ("with", 2)):
        experiment = experiment_of({**sgd, "sharpness_every": every, "checkpoint_every": 3})
        run = Run.begin(tmp_path / name, experiment.config)
        train(run, experiment)
        rows[name] = run.read_metrics()
    assert [row["loss"] for row in rows["with"]] == [row["loss"] for row in rows["without"]]
    assert [row["step"] for row in rows["with"] if "sharpness" in row] == [2, 4, 6]
    assert not any("sharpness" in row for row in rows["without"])
    torch_rate = RunConfig().training.learning_rate
    assert rows["with"][1]["edge"] == pytest.approx(rows["with"][1]["sharpness"] * torch_rate / 2)


def test_results_and_figures_have_the_series(arith: Arith, tmp_path: Path) -> None:
    (tmp_path / "edge.toml").write_text(
        "[data]\ndigits = '1-1'\nsamples = 8\n[model]\nwidth = 8\nheads = 2\nhidden = 8\n"
        "[training]\nsteps = 4\nbatch = 8\n"
        "optimizer = 'sgd'\nmomentum = 0\nsharpness_every = 2\n[evaluation]\ndigits = [1]\nsamples = 4\n"
        "[curves.a]\n[curves.b]\nencoding = 'nope'\n"
    )
    ran = arith("reproduce", "edge.toml", "--out", "out")
    assert ran.exit_code == 0, ran.output
    series = Results.load(tmp_path / "out" / "results.json").series
    assert [(row.run, row.name, row.steps) for row in series] == [
        (run, name, (2, 4)) for run in ("a-0", "b-0") for name in ("sharpness", "edge")
    ]
    assert (tmp_path / "out" / "figures" / "edge-training.png").is_file()
    again = arith("reproduce", "edge.toml", "--out", "out")
    assert Results.load(tmp_path / "out" / "results.json").series == series, again.output
    drawn = arith("plot", "out/a-0", "--kind", "training", "--out", "curve")
    assert drawn.exit_code == 0, drawn.output
    assert "a-0,edge,4" in (tmp_path / "curve.csv").read_text()


def test_pretrained_models_are_refused(arith: Arith, gpt2: Path) -> None:
    ended = arith("train", "--init", f"hf:{gpt2}", "--set", "training.sharpness_every=5", "--dry-run")
    assert ended.exit_code == 2
    assert "has no second derivative" in ended.stderr


def test_a_model_without_second_derivatives_is_refused_before_the_first_step(arith: Arith) -> None:
    ended = arith(
        "train", "--recipe", "multiplication-fifteen:lookup", "--batch", "2", "--set", "training.sharpness_every=9"
    )
    assert ended.exit_code == 2
    assert "training.sharpness_every needs second derivatives" in ended.stderr
