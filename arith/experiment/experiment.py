"""From a configuration to its parts, all mistakes in it found before any work is done."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from arith.catalogue.build import encoding
from arith.catalogue.named import format_named, task_named
from arith.catalogue.registry import import_file
from arith.config.pretrained import ENCODING as PRETRAINED
from arith.config.schema import RunConfig
from arith.data.batch import reading
from arith.data.dataset import Dataset, Samples
from arith.data.evaluation_sets import EvaluationSets, longest
from arith.data.problems import Share, mix_problems, shares
from arith.data.traces import Supervision
from arith.encodings.compose import Composed
from arith.errors import UsageError
from arith.experiment.checks import (
    check_attention,
    check_in_place,
    check_loops,
    check_numbers,
    check_origin,
    check_schedule,
    check_sharing,
    check_sharpness,
    check_training,
    running_sums_of,
    supervision_of,
)
from arith.model.kinds.in_place import InPlace, LoopedInPlace
from arith.model.kinds.looped import Looped
from arith.model.kinds.pretrained import prompt_lengths
from arith.model.kinds.summing import RunningSums, Summing
from arith.model.transformer import Transformer
from arith.process.hints import require_package
from arith.results.schema import Condition
from arith.tasks import vocabulary
from arith.tasks.base import Alphabet, Task, digits_in
from arith.tasks.formats import Format
from arith.tasks.mixture import Mixture
from arith.tasks.sampling import Source
from arith.tasks.stream import Split
from arith.tasks.suites import Suite

if TYPE_CHECKING:
    from arith.experiment.pretrained import PretrainedFolder


@dataclass(frozen=True)
class Experiment:
    """What a configuration stands for.

    Args:
        trained: the tasks of training and their shares.
        format: how training writes numbers.
        tests: the test problems.
        tokens: length of the longest sequence in training or tests.
        digits: length of the longest number in training or tests.
        supervision: the states that a looped model learns; None for any other model, which learns from answers.
        sums: the running sums that a standard model learns beside answers; None without them.
    """

    config: RunConfig
    trained: tuple[Share, ...]
    format: Format
    tests: EvaluationSets
    tokens: int
    digits: int
    supervision: Supervision | None
    sums: RunningSums | None

    @staticmethod
    def of(config: RunConfig) -> "Experiment":
        """Check a configuration, and load what it names."""
        # Before any name is looked up: these files register the user's own encodings, tasks and formats.
        for path in config.imports:
            import_file(path)
        # Before the other checks: what they would say of a pretrained model's loops or formats would lead astray.
        check_origin(config)
        trained = shares(config.task, config.data)
        problems = mix_problems(trained, config.data, "train")
        form, tested_form = format_named(config.format), format_named(config.tested_format)
        tests = EvaluationSets(config.tested_task, task_named(config.tested_task), tested_form, config.evaluation)
        data = Dataset(problems, form)
        if config.reads_text and any(problems.forms) and any(f.decoration is not None for f in data.formats):
            raise UsageError(
                "a pretrained model's samples are spaced alike: leave decorations, such as +spaces, out, or formats "
                f"out of data.mix. Got {config.format} and {list(config.data.mix)}"
            )
        # Every (task, format, digits) that is written: tables of positions are made for the longest sequence.
        pairs = zip(trained, problems.sources, strict=True)
        lines = [
            (share.name, share.task, share.format or config.format, share.form or form, source.longest)
            for share, source in pairs
        ]
        lines += [(tests.name, tests.task, config.tested_format, tests.format, config.evaluation.longest)]
        lines.sort(key=lambda line: line[-1], reverse=True)  # a refusal names the longest
        tokens, digits = (max(lengths) for lengths in zip(*(longest(*line) for line in lines), strict=True))
        tests.check()
        kind = PretrainedExperiment if config.reads_text else Experiment
        experiment = kind(
            config,
            tuple(trained),
            form,
            tests,
            tokens,
            digits,
            supervision_of(config, trained),
            running_sums_of(config, data),
        )
        check_numbers(config)
        check_training(config.training)
        check_schedule(config)
        check_sharpness(config)
        # Built for its checks alone; on the meta device a large table of positions takes no memory.
        with torch.device("meta"):
            encoded = experiment.encoding()
        if not config.reads_text:  # else the shape is the pretrained model's
            check_loops(config, encoded, digits)
            check_attention(config.model, encoded, experiment.kind.answers_at_once)
            check_sharing(config, encoded)
            check_in_place(config, [*(share.task for share in trained), tests.task])
        if experiment.supervision is not None and experiment.supervision.trace.in_answer and not encoded.slides:
            raise UsageError(
                f"with trace.kind loops are told apart by ids that slide, and those of '{config.encoding}' stay. "
                "Use sliding-window, or put an encoding @multiplicand and @multiplier"
            )
        return experiment

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
        # A scheme must suit every way in which numbers are written, or its ids could give the answer away.
        lines = [(share.format or self.config.format, share.form or self.format, share.task) for share in self.trained]
        lines += [(self.config.tested_format, self.tests.format, self.tests.task)]
        for name, form, task in lines:
            try:
                built.check(reading(form, task.operands))
            except ValueError as error:
                raise UsageError(str(error).replace("this format", f"format '{name}'")) from error
        return built

    @property
    def train_lengths(self) -> tuple[int, int]:
        """Digits of the tested task's training problems; of all, if it is not among the tasks of training."""
        digits = [share.digits for share in self.trained if _kind(share.task) == _kind(self.tests.task)]
        lows, highs = zip(*(digits or [share.digits for share in self.trained]), strict=True)
        # In place, a problem of so many steps asks for all values up to its last.
        return 1 if self.reads_in_place else min(lows), max(highs)

    @property
    def vocabulary_size(self) -> int:
        """The number of tokens in arith's vocabulary that training or tests can have."""
        # A symbol that only tests have needs a row in the embedding too, though it is never trained.
        symbols = [(share.form or self.format).symbols(share.task) for share in self.trained]
        return vocabulary.size("".join([*symbols, self.tests.format.symbols(self.tests.task)]))

    @property
    def kind(self) -> type[Transformer]:
        """The class of the model."""
        if self.supervision is not None:
            return LoopedInPlace if self.reads_in_place else Looped
        if self.sums is not None:
            return Summing
        return InPlace if self.reads_in_place else Transformer

    def model(self) -> Transformer:
        """A model with fresh weights."""
        # Seeded here, so that a model's first weights depend on its configuration and on nothing that ran before.
        torch.manual_seed(self.config.model.seed)
        parts = self.config.model, self.vocabulary_size, self.encoding()
        if self.supervision is not None:
            kind = LoopedInPlace if self.reads_in_place else Looped
            return kind(*parts, self.supervision.trace.parts, self.supervision.trace.alphabet)
        if self.sums is not None:
            return Summing(*parts, self.sums, self.config.auxiliary.layer, self.config.auxiliary.weight)
        if self.reads_in_place:
            model: Transformer = InPlace(*parts, max(digits_in(share.task.alphabet) for share in self.trained))
        else:
            model = Transformer(*parts)
        model.loops = self.config.tested_loops
        return model

    def starting_model(self) -> Transformer:
        """The model that is trained, without the parts that `training.freeze` names; its weights are fresh."""
        model = self.model()
        model.freeze(self.config.training.freeze)
        return model

    @property
    def reads_in_place(self) -> bool:
        """Whether the digits of answers are read in their places of a whole line."""
        return any(getattr(share.task, "in_place", False) for share in self.trained)

    @property
    def supervised_by(self) -> str:
        """What training shows: answers, or also the steps of an algorithm, in loops, before the answer or inside."""
        # Results of the two are never ranked against each other.
        forms = [share.form or self.format for share in self.trained]
        steps = any(form.working for form in forms) or any(getattr(s.task, "shows_steps", False) for s in self.trained)
        algorithm = self.supervision is not None or self.sums is not None or steps
        return "algorithm" if algorithm else "answers"

    def training_data(self) -> Dataset:
        # With loss = line a model learns to write the problem as well, not the answer alone.
        whole = replace(self._problems("train"), whole=self.config.training.loss == "line")
        return self.dataset(whole, self.format, self.supervision)

    def validation_data(self) -> Dataset:
        return self.dataset(self._problems("validation"), self.format)

    def _problems(self, split: Split) -> Mixture:
        return mix_problems(self.trained, self.config.data, split)

    def test_data(self, suite: str, digits: int) -> Dataset:
        # Any number of problems: a suite's are endless.
        return self.dataset(self.tests.problems([Condition(suite, digits, 1)]), self.tests.format)

    def watched_data(self, digits: int) -> Dataset:
        """Problems of one length for a look while training, which neither training nor tests have."""
        # Of the validation split, so not of the test's; with the seed of tests, so the same for runs of all seeds; and
        # from the stream of a suite, where the problems of a periodic evaluation are from a sampler's.
        source = Source(self.tests.task, Suite("random", digits), self.config.evaluation.seed, "validation")
        return self.dataset(Mixture([source]), self.tests.format)

    def dataset(self, problems: Samples, form: Format, supervision: Supervision | None = None) -> Dataset:
        """Problems as the model reads them."""
        return Dataset(problems, form, supervision)


class PretrainedExperiment(Experiment):
    """An experiment that begins with a pretrained model of Hugging Face, which brings its tokenizer and positions."""

    @property
    def folder(self) -> "PretrainedFolder":
        # Imported when it is first needed: transformers is optional, and takes seconds to import.
        require_package("transformers", "hf")
        from arith.experiment.pretrained import PretrainedFolder

        return PretrainedFolder.of(str(self.config.model.init))

    def encoding(self) -> Composed:
        """Where answers begin: the model has positions of its own."""
        return prompt_lengths()

    @property
    def vocabulary_size(self) -> int:
        """None of the model's tokens are arith's."""
        return 0

    def model(self) -> Transformer:
        """The model with its pretrained weights."""
        torch.manual_seed(self.config.model.seed)  # whatever the model's own code draws, and what is added to it
        model = self.folder.model()
        # A dry run's model has shapes alone, and what is added looks at numbers.
        if self.config.encoding != PRETRAINED and torch.empty(0).device.type != "meta":
            self.folder.attach(model, self.config.encoding, self._written_alike(), self.digits)
        return model

    def _written_alike(self) -> str:
        """The format of all problems, by which digits are placed in the text."""
        names = {self.config.tested_format, *(share.format or self.config.format for share in self.trained)}
        if len(names) > 1:
            raise UsageError(
                f"'{self.config.encoding}' places digits by one way of writing numbers, and there are "
                f"{', '.join(sorted(names))}: leave formats out of data.mix and evaluation.format"
            )
        return names.pop()

    def dataset(self, problems: Samples, form: Format, supervision: Supervision | None = None) -> Dataset:
        """Problems as text, cut by the model's tokenizer."""
        return Dataset(self.folder.tokenize(problems, form), form, supervision)


def _kind(task: Task) -> tuple[str, int, Alphabet]:
    # Not the name alone: addition of three operands is not learned from sums of two.
    return task.name, task.operands, task.alphabet
