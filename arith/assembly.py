"""From a configuration to its parts, all mistakes in it found before any work is done."""

from dataclasses import dataclass

import torch

from arith.build import encoding
from arith.catalogue import import_file
from arith.config import RunConfig
from arith.data import Dataset, reading
from arith.encodings.compose import Composed
from arith.errors import UsageError, did_you_mean
from arith.model import Transformer
from arith.naming import format_named, sampler_named, task_named
from arith.tasks import vocabulary
from arith.tasks.base import Task
from arith.tasks.formats import Format
from arith.tasks.sampling import Sampler
from arith.tasks.stream import Split, check_seed
from arith.tasks.suites import SUITES, Suite, SuiteName


@dataclass(frozen=True)
class Assembly:
    """What a configuration stands for.

    Args:
        tokens: of the longest sequence in training or tests.
        digits: of the longest number in training or tests.
    """

    config: RunConfig
    task: Task
    format: Format
    tokens: int
    digits: int

    @staticmethod
    def of(config: RunConfig) -> "Assembly":
        """Check a configuration, and load what it names."""
        for path in config.imports:
            import_file(path)
        task, form = task_named(config.task), format_named(config.format)
        try:
            longest = max((config.data.digits[1], *config.evaluation.digits))
            tokens, digits = form.longest(task, longest)
        except ValueError as error:
            raise UsageError(f"task '{config.task}' in format '{config.format}': {error}") from error
        assembly = Assembly(config, task, form, tokens, digits)
        assembly._check_numbers()
        assembly._check_tests()
        with torch.device("meta"):
            assembly.encoding()
        return assembly

    def _check_numbers(self) -> None:
        training, evaluation, model = self.config.training, self.config.evaluation, self.config.model
        at_least_one = {
            "training.steps": training.steps,
            "training.batch": training.batch,
            "training.log_every": training.log_every,
            "training.evaluate_every": training.evaluate_every,
            "training.evaluate_samples": training.evaluate_samples,
            "training.checkpoint_every": training.checkpoint_every,
            "training.keep": training.keep,
            "evaluation.samples": evaluation.samples,
            "evaluation.long_samples": evaluation.long_samples,
            "model.layers": model.layers,
            "model.loops": model.loops,
            "model.width": model.width,
            "model.heads": model.heads,
            "model.key_heads": model.key_heads or model.heads,
            "model.hidden": model.hidden,
        }
        for name, value in at_least_one.items():
            if value < 1:
                raise UsageError(f"{name} is 1 or more, got {value}")
        seeds = {"data.seed": self.config.data.seed, "model.seed": model.seed, "evaluation.seed": evaluation.seed}
        for name, seed in seeds.items():
            try:
                check_seed(seed)
            except ValueError as error:
                raise UsageError(f"{name}: {error}") from error
        if model.heads % (model.key_heads or model.heads):
            raise UsageError(f"model.heads is a multiple of model.key_heads: got {model.heads} and {model.key_heads}")
        for name, positive in (("learning_rate", training.learning_rate), ("clip", training.clip)):
            if not positive > 0:
                raise UsageError(f"training.{name} is above 0, got {positive}")
        if training.warmup < 0 or training.weight_decay < 0 or not 0 <= training.final_rate <= 1:
            raise UsageError(
                "training.warmup and training.weight_decay are 0 or more and training.final_rate is between 0 and 1: "
                f"got {training.warmup}, {training.weight_decay} and {training.final_rate}"
            )
        if not all(0 <= beta < 1 for beta in training.betas):
            raise UsageError(f"training.betas are below 1, got {training.betas}")

    def _check_tests(self) -> None:
        evaluation = self.config.evaluation
        if not evaluation.digits:
            raise UsageError("evaluation.digits names one length or more, and is empty")
        if min(evaluation.digits) < 1:
            raise UsageError(f"evaluation.digits are 1 or more, got {min(evaluation.digits)}")
        for name in evaluation.suites:
            if name not in SUITES:
                raise UsageError(
                    f"no test suite is called '{name}'.{did_you_mean(name, SUITES)} Suites: {', '.join(SUITES)}"
                )
        try:
            self._trained_on().check(self.task)
            for digits in evaluation.digits:
                for suite in self.suites():
                    Suite(suite, digits).check(self.task)
        except ValueError as error:
            raise UsageError(str(error)) from error

    def suites(self) -> tuple[SuiteName, ...]:
        """The suites it is tested on: those asked for, or random and unequal problems where there are such."""
        asked = dict.fromkeys(self.config.evaluation.suites)
        if not asked:
            return ("random",) if self.task.operands < 2 else ("random", "unequal")
        return tuple(name for wanted in asked for name in SUITES if name == wanted)

    def encoding(self) -> Composed:
        """The encoding, freshly initialised."""
        model = self.config.model
        built = encoding(
            self.config.encoding,
            width=model.width,
            heads=model.heads,
            layers=model.layers,
            tokens=self.tokens,
            digits=self.digits,
        )
        try:
            built.check(reading(self.format))
        except ValueError as error:
            text = str(error).replace("this format", f"format '{self.config.format}'")
            raise UsageError(text) from error
        return built

    def model(self) -> Transformer:
        """The model as it is before training."""
        torch.manual_seed(self.config.model.seed)
        return Transformer(self.config.model, vocabulary.size(), self.encoding())

    def training_data(self) -> Dataset:
        return self._dataset(self._trained_on(), self.config.data.seed, "train")

    def validation_data(self) -> Dataset:
        return self._dataset(self._trained_on(), self.config.data.seed, "validation")

    def test_data(self, suite: SuiteName, digits: int) -> Dataset:
        return self._dataset(Suite(suite, digits), self.config.evaluation.seed, "test")

    def _trained_on(self) -> Sampler:
        data = self.config.data
        return sampler_named(data.uniform, data.digits, data.carry_mix)

    def _dataset(self, sampler: Sampler, seed: int, split: Split) -> Dataset:
        return Dataset(self.task, self.format, sampler, seed, split)


def device_named(name: str) -> torch.device:
    """`auto` is the first CUDA device, or the CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"no device is called '{name}'. Use auto, cpu or cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"device '{name}' is not supported. Use auto, cpu or cuda")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"device '{name}' is not there: torch {torch.__version__} finds no CUDA GPU. Use --device cpu")
    return device
