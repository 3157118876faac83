"""An evaluation as it is requested: which tests of a run, what is kept of them, and the model that can take them.

Tests may be longer than the model was built for, where the encoding's tables are computed and not learned.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from arith.config.reading import grid_lengths
from arith.config.requested import RequestedTests
from arith.errors import UsageError
from arith.evaluation import session
from arith.evaluation.exact_match import check_reach
from arith.evaluation.failures import FailureCollector, PredictionRecorder
from arith.experiment.experiment import Experiment
from arith.experiment.run import Run
from arith.model.transformer import Transformer
from arith.results.predictions import PredictionHeader, Writer
from arith.results.schema import Condition, Results

SAMPLES = 32  # training samples on which the model and its longer version must agree


def model_for(run: Run, tested: Experiment, sets: Sequence[Condition] | None = None) -> tuple[Transformer, int]:
    """A run's model and its step, with longer tables if the tests need them and they are not learned.

    Args:
        run: the run.
        tested: the run's configuration with the tests.
        sets: the test sets; those of the configuration, if None.

    Raises:
        UsageError: the tests are beyond what its encoding can place.
    """
    trained = Experiment.of(run.config)
    model, checkpoint = run.load_model(trained)
    sets = tested.tests.conditions() if sets is None else sets
    try:
        check_reach(tested, model, sets)
    except UsageError:
        longer = _rebuild(run, tested)
        if longer is None or not _agree(model, longer, trained):
            raise
        model = longer
    model.loops = tested.config.tested_loops
    return model, checkpoint.step


def _rebuild(run: Run, tested: Experiment) -> Transformer | None:
    """The same weights in a model that is built for the tests; None if they do not fit it."""
    try:
        return run.load_model(tested)[0]
    except UsageError:  # a learned table with a row for each position: its shape is another now
        return None


@torch.no_grad()
def _agree(model: Transformer, longer: Transformer, trained: Experiment) -> bool:
    """Whether both give the same logits on training samples."""
    # Weights can fit a longer model and mean something else in it: ids that wrap around at its length, frequencies
    # stretched to it. Such a model was never trained, and its accuracy would not be the run's.
    batch = trained.training_data().batch(0, SAMPLES, torch.device("cpu"))
    said = []
    for own in (model, longer):
        ids = batch.placed_by(own.encoding)
        said.append(own(batch.tokens, ids, loops=trained.config.model.most_loops))
    return torch.allclose(said[0], said[1], rtol=1e-4, atol=1e-4)


@dataclass(frozen=True)
class Outputs:
    """What an evaluation keeps.

    Args:
        path: the results file.
        predictions: the file for every problem, answer and margin; None if they are not kept.
        failures: the number of failures kept of each suite and length.
        anatomy: whether results say why answers are wrong.
    """

    path: Path
    predictions: Path | None = None
    failures: int = 0
    anatomy: bool = False

    def check(self) -> None:
        """Refuse files that cannot be written, or would replace something else, before any work is done."""
        for file in (self.path, self.predictions or self.path):
            if not file.parent.is_dir():
                raise UsageError(f"{file} cannot be written: there is no folder {file.parent}")
            if file.is_dir():
                raise UsageError(f"{file} is a folder. Name a file in it")
        if self.predictions is not None and self.predictions.resolve() == self.path.resolve():
            raise UsageError(f"{self.path} cannot hold both results and predictions. Choose another --predictions")
        # Training's own results stay as they are: a run counts as finished by them, and sweeps read them.
        if self.path.name == "results.json" and (self.path.parent / "run.json").exists():
            raise UsageError(f"{self.path} holds what the training reached. Choose another --out")


@dataclass(frozen=True)
class Requested:
    """A run's model, the tests that it takes, and what is kept of them.

    Args:
        run: the run that is evaluated.
        experiment: its configuration with the requested tests.
        sets: the test sets.
        model, step: the model with the weights of its latest checkpoint, and their training step.
        outputs: what is kept.
    """

    run: Run
    experiment: Experiment
    sets: Sequence[Condition]
    model: Transformer
    step: int
    outputs: Outputs

    def evaluate(self, device: torch.device) -> tuple[Results, FailureCollector | None]:
        """Evaluate what has not been evaluated yet, and write the results.

        Args:
            device: the device that the model is put on.

        Returns:
            The results, and the failures with their classes, if the outputs keep anything of single problems.

        Raises:
            KeyboardInterrupt: a signal came; what was measured is saved.
        """
        outputs, label, model = self.outputs, self.run.config.encoding, self.model.to(device)
        saved = session.SavedCells(session.fingerprint(model), outputs.path)
        before = session.find_cells(saved.cells(), self.experiment, label, self.step)
        gathered, recording = None, None
        if outputs.failures or outputs.anatomy or outputs.predictions is not None:
            header = self._header(saved.model)
            gathered = FailureCollector(header, self.experiment.tests.task, outputs.failures)
            writer = Writer(outputs.predictions, header, before) if outputs.predictions else None
            recording = PredictionRecorder(model, gathered, writer)
            for test, rows in writer.kept.items() if writer else ():
                if test in self.sets:
                    gathered.add(rows)
            # Without a file that holds them, the answers of what was measured before are not known.
            before = {test: cell for test, cell in before.items() if writer is not None and test in writer.kept}
        results = session.evaluate_run(
            self.run,
            self.experiment,
            model,
            self.step,
            label,
            outputs.path,
            sets=self.sets,
            record=recording,
            before=before,
        )
        if gathered is not None and outputs.anatomy:
            results = dataclasses.replace(results, anatomy=tuple(gathered.anatomy()))
        session.save_results(results, outputs.path, keep_others=True)
        return results, gathered

    def _header(self, fingerprint: str) -> PredictionHeader:
        config = self.experiment.config
        return PredictionHeader(
            label=self.run.config.encoding,
            task=config.tested_task,
            format=config.tested_format,
            encoding=config.encoding,
            train_lengths=self.experiment.train_lengths,
            model_seed=config.model.seed,
            data_seed=config.data.seed,
            test_seed=config.evaluation.seed,
            step=self.step,
            model=fingerprint,
            imports=config.imports,
            sharpen=config.tested_sharpen,
            loops=config.other_loops,
        )


def request(run: Run, tests: RequestedTests, outputs: Outputs, own_file: bool) -> Requested:
    """Find every mistake in what is requested, and load the model.

    Args:
        run: the run.
        tests: the options that choose the tests.
        outputs: what is kept.
        own_file: whether the results file is the run's own, in which other weights are the run's earlier ones.

    Raises:
        UsageError: there are no such tests, they are beyond the model, or they would replace other results.
    """
    changes: dict[str, Any] = {
        name: value
        for name in ("task", "format", "suites", "seed", "sharpen", "loops")
        if (value := getattr(tests, name)) is not None
    }
    if tests.samples is not None:
        changes |= run.config.evaluation.sized(tests.samples)
    if tests.test_digits is not None:
        changes["digits"], changes["grid"] = tests.test_digits, None
    elif tests.grid is not None:
        # A grid alone: the run's own lengths, which may be beyond this model, are not tested.
        changes["digits"] = [max(max(pair) for pair in grid_lengths(tests.grid))]
    if tests.grid is not None:
        changes["grid"] = None  # this one is tested instead of the run's
    experiment = Experiment.of(run.config.with_values({"evaluation": changes}))
    if tests.suites is None:
        # `arith evaluate` looks at adversarial suites too, which the configuration leaves out of the training's tests.
        every = {"evaluation": {"suites": experiment.tests.every_suite()}}
        experiment = Experiment.of(experiment.config.with_values(every))
    sets = experiment.tests.conditions() if tests.by_suite else []
    if tests.grid is not None:
        sets += experiment.tests.grid(tests.grid, experiment.config.evaluation.samples)
    outputs.check()
    if outputs.path.exists():
        try:
            held = Results.load(outputs.path).cells
        except UsageError as error:
            raise UsageError(f"{error}. It is left alone: choose another --out, or remove it") from error
        session.check_same_test(held, experiment, outputs.path, any_weights=own_file)
    model, step = model_for(run, experiment, sets)
    return Requested(run, experiment, sets, model, step, outputs)
