"""The settings of a run. Everything that decides its numbers is here, and is saved with it in run.json.

Long for its list: each setting has a line that says what it means.
"""

import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from arith.config.ranges import Amount, Count, Range, Rate, Seed, Share
from arith.config.reading import _build, expand_preset, grid_lengths, merge_tables
from arith.config.starting import OWN
from arith.config.supervision import AuxiliaryConfig, TraceConfig

# A moment with beta 1 stays 0 for ever, and Adam divides by 1 - beta^step; SGD's would add up without end.
Momentum = Annotated[float, Range(0, 1, below=True)]
Activation = Literal["gelu", "gated-gelu", "gated-silu", "gated-sine"]
Mixing = Literal["none", "conv"]
TAPS = 3  # of a short convolution: a token and the two before it
Attended = Literal["causal", "full"]
Sharpen = Rate | Literal["log-n"]
Tie = Literal["values", "output", "norms", "head"]
Part = Literal["embedding", "blocks", "head"]


@dataclass(frozen=True)
class DataConfig:
    """Training problems.

    Args:
        digits: shortest and longest operand.
        uniform: what is drawn uniformly: lengths, independently for each operand; values from 0 to the longest; or, in
            additions, local configurations of digits and carry, see `arith.tasks.covering`. The last is of training
            alone: other splits have lengths drawn uniformly.
        carry_mix: share of carry-heavy problems; those in the mix have none, but for shares drawn as the main task is.
        schedule: samples over which digits and carry_mix move to these values, from the next two; 0: no schedule. Of a
            fixed set it takes one pass.
        first_digits, first_carry_mix: the values at the start of a schedule; None: as at its end.
        samples: size of a fixed training set, which is repeated epoch by epoch; None: every sample is new.
        redraw: whether what a format draws, such as random spaces, is drawn anew in each epoch of a fixed set; if not,
            a sample is written alike in all of them. What encodings draw is new in each epoch in any case.
        renumber: whether operands are drawn anew in each epoch of a fixed set, whose wordings repeat.
        swap: whether operands are swapped in half of the samples, drawn anew in each epoch of a fixed set; for tasks
            whose answer stays the same.
        mix: shares of the samples for other tasks, digits or formats, the last two if they are named:
            `50% addition 1-5`, `20% addition plain+detailed`. Digits that are not named are the main task's, and of a
            share of the same task carry_mix and schedule too.
        seed: the training data's random seed.
    """

    digits: tuple[Count, Count] = (1, 4)
    uniform: Literal["lengths", "values", "covering"] = "lengths"
    carry_mix: Share = 0.0
    schedule: Amount = 0
    first_digits: tuple[Count, Count] | None = None
    first_carry_mix: Share | None = None
    samples: Count | None = None
    redraw: bool = False
    renumber: bool = False
    swap: bool = False
    mix: tuple[str, ...] = ()
    seed: Seed = 0


@dataclass(frozen=True)
class ModelConfig:
    """The transformer.

    Args:
        key_heads: heads of keys and values, shared by groups of query heads; `heads` if None.
        hidden: width inside the MLP.
        norm_after: whether the output of attention and MLP is normalised too.
        embedding: what gives tokens their vectors: a table, or three parameters that place all of them on a circle, see
            `arith.model.embedding`.
        embedding_std: standard deviation of the token embedding at initialisation.
        tie: what has no weights of its own: `values`, which are then the keys before their rotation; attention's
            `output`, which is the transposed map of queries; `norms`, which all share the weights of the last one;
            `head`, whose logits are products with the token embedding.
        activation: the MLP's; those called gated have a third matrix, for the gates.
        block: whether the MLP reads what attention has added, or both of them the same norm, side by side.
        mixing: what queries, keys and values of a token mix with: nothing, or by a short convolution those of the two
            tokens before it, each channel by itself.
        attention: which tokens a token attends to: itself and those before it, or all of its sequence; the latter is
            for models that give a whole answer at once.
        sharpen: a factor on all scores of attention, or `log-n`; see `arith.kernels.sharpening`.
        loops: how often the stack of layers is applied: a number, or a range such as `12-16` from which each training
            step draws one. Tests and answers have `evaluation.loops`, or the highest of the range.
        looped: how many of the layers, the first ones, are in those loops; the others follow once. All, if None.
        loop_input: what a loop starts from: the state that the loop before it has left; the embeddings, so that what
            all loops add is summed; or both, before every loop but the first the embeddings and the normalised state
            added up.
        prompt_layers: how many of the layers, the first ones, the prompt's tokens pass through; above them the answer's
            tokens attend to one another alone. All, if None.
        seed: the random seed of the initial parameters.
        init: what training begins with; fresh weights, if None. `run:PLACE`: those of a run, an exported model or a
            shipped one, whose task, format, encoding and shape hold where they are not given. In a recipe
            `curve:LABEL`: another curve's, of the same seed. `hf:FOLDER`: a pretrained model of Hugging Face in place
            of one of arith's. It brings its shape, tokens and positions; all other fields here are ignored, and the
            encoding is `pretrained`, or what is added to its positions, such as `own+learned@coupled`.
        init_step: the step of that run to begin with, which need not be finished then; None: its last one.
    """

    layers: Count = 1
    width: Count = 64
    heads: Count = 4
    key_heads: Count | None = None
    hidden: Count = 256
    activation: Activation = "gated-gelu"
    block: Literal["sequential", "parallel"] = "sequential"
    norm_after: bool = True
    embedding: Literal["table", "circle"] = "table"
    embedding_std: Rate = 1.0
    tie: tuple[Tie, ...] = ()
    mixing: Mixing = "none"
    attention: Attended = "causal"
    sharpen: Sharpen = 1.0
    loops: Count | tuple[Count, Count] = 1
    looped: Count | None = None
    loop_input: Literal["state", "embeddings", "both"] = "state"
    prompt_layers: Count | None = None
    # Apart from the data's seed, so that a study can vary one of the two; --seed sets both.
    seed: Seed = 0
    init: str | None = None
    init_step: Count | None = None

    @property
    def in_loops(self) -> int:
        """The number of layers in every loop."""
        return self.layers if self.looped is None else self.looped

    @property
    def loop_range(self) -> tuple[int, int]:
        """The fewest and the most loops in training."""
        return (self.loops, self.loops) if isinstance(self.loops, int) else self.loops

    @property
    def most_loops(self) -> int:
        return self.loop_range[1]

    @property
    def depth(self) -> int:
        """The number of layers that a token passes through, each loop counted; of a range of loops, with the most."""
        return len(self.passes)

    @property
    def passes(self) -> list[tuple[int, int]]:
        """The loop and the layer, from 0, of each layer that is computed; those after the loops count as one more loop.

        >>> ModelConfig(layers=3, loops=2, looped=1).passes
        [(0, 0), (1, 0), (2, 1), (2, 2)]
        """
        looped = [(loop, layer) for loop in range(self.most_loops) for layer in range(self.in_loops)]
        return looped + [(self.most_loops, layer) for layer in range(self.in_loops, self.layers)]

    @property
    def sums_one_layer(self) -> bool:
        """Whether what loops add is summed, each of them one run through the first layer."""
        return self.loop_input == "embeddings" and self.in_loops == 1

    @property
    def matrices(self) -> int:
        """The number of matrices in an MLP."""
        return 2 if self.activation == "gelu" else 3


@dataclass(frozen=True)
class TrainingConfig:
    """AdamW, Muon or SGD, linear warm-up, cosine to `final_rate * learning_rate`, clipped gradients.

    Args:
        batch: samples a step, over all processes.
        final_rate: the last learning rate, as a share of the highest.
        weight_decay: decay of matrices; embeddings, tables and norms have none. SGD adds it to the gradient (L2), so
            that momentum takes it up; the others take it from the weight.
        optimizer: adamw; sgd; or muon for the matrices of the blocks, at `muon_rate` instead of `learning_rate`, and
            adamw for the others; see `arith.training.optimiser`.
        freeze: parts of the model that keep the values they begin with: `embedding`, which is tokens and all of the
            encoding, learned positions included; `blocks`; `head`, with the norm before it.
        momentum: sgd's, with the update m <- momentum * m + gradient; 0: none, and no memory for it.
        clip: the largest norm of the gradient; a longer one is scaled down to it.
        loss: the tokens to learn: the answer's, or the whole line's as in language models, prompt included.
        evaluate_every, checkpoint_every, log_every: intervals in steps; the last step is always included.
        evaluate_samples: problems of the validation split in a periodic evaluation.
        keep: how many of the latest checkpoints stay.
        precision: float32: full-precision matmuls; tf32: the GPU rounds matmul inputs to a 10-bit mantissa, several
            times faster; bfloat16: autocast. Weights and optimiser state are float32 in all.
        microbatches: parts of a step's samples, sorted by length, that are computed one after the other; their
            gradients add up, so that the update is the same, with less padding and in less memory.
        compile: whether a step is compiled into fused kernels. auto: on a GPU, where that saves more time than it
            takes.
        deterministic: whether a GPU too must give the same bits again, which is slower.
        average: decay of a running average of the weights, which is validated, saved and tested in place of the last
            step's own: 0.99 spans about the last hundred steps; 0: none. See `arith.training.averaging`.
        sharpness_every: steps between measurements of the sharpness, the largest eigenvalue of the loss's Hessian on
            the first batch, and of the edge of stability; 0: never. See `arith.training.sharpness`.
        tensorboard: whether metrics are written for TensorBoard as well.
    """

    steps: Count = 800
    batch: Count = 128
    learning_rate: Rate = 3e-3
    warmup: Amount = 20
    final_rate: Share = 0.1
    # 0.98 as in "Attention Is All You Need", 2017: with the usual 0.999 the second moment would average over more steps
    # than the shortest runs have.
    betas: tuple[Momentum, Momentum] = (0.9, 0.98)
    weight_decay: Annotated[float, Range(0)] = 0.0
    optimizer: Literal["adamw", "muon", "sgd"] = "adamw"
    muon_rate: Rate = 0.01
    momentum: Momentum = 0.9
    freeze: tuple[Part, ...] = ()
    clip: Annotated[float, Range(0, above=True, infinite=True)] = 1.0
    loss: Literal["answer", "line"] = "answer"
    log_every: Count = 50
    evaluate_every: Count = 200
    evaluate_samples: Count = 512
    checkpoint_every: Count = 200
    keep: Count = 2  # should the latest be damaged, a run resumes from the one before
    device: str = "auto"
    precision: Literal["float32", "tf32", "bfloat16"] = "float32"
    microbatches: Count = 1
    compile: Literal["auto", "on", "off"] = "auto"
    deterministic: bool = False
    average: Momentum = 0.0
    sharpness_every: Amount = 0
    tensorboard: bool = False


@dataclass(frozen=True)
class EvaluationConfig:
    """Tests after training.

    Args:
        digits: lengths of the longer operand; one test set for each length and suite.
        suites: names of `arith.tasks.suites.Suite`; none: random and, for two operands or more, unequal.
        watch: lengths at which accuracy is measured in training too, with every periodic evaluation and on as many
            problems, which are neither training's nor those of tests. It is kept and drawn, and nothing is chosen by
            it.
        grid: pairs of operand lengths to test too, such as `1-15` or `1-15x1-3`.
        grid_samples: problems for each pair.
        samples: problems in a test set.
        long_samples: problems in a test set of more than 100 digits.
        sizes: problems in single test sets, in place of those two numbers: a number, a suite or none for all of them,
            and a length or a range, as `4 1000000` or `1 chain 1000000`. The last that fits holds; 0 leaves a set out.
        seed: the test problems' seed, the same for all runs, so that they are compared on the same problems.
        task, format: what is tested and how it is written; None: as in training.
        sharpen: the factor on scores of attention that the model has in tests; None: `model.sharpen`.
        loops: how often the stack of layers is applied in tests and answers; None: `model.loops`, of a range the most.
    """

    # By default 1 to 4 digits are trained: the next ones show where accuracy falls, 20 whether anything is left.
    digits: tuple[Count, ...] = (1, 2, 3, 4, 5, 6, 8, 10, 20)
    suites: tuple[str, ...] = ()
    watch: tuple[Count, ...] = ()
    grid: str | None = None
    grid_samples: Count = 100  # a grid of 15 x 15 has 225 cells, and is read as a whole
    samples: Count = 1000
    long_samples: Count = 400  # without a mistake, the interval begins at 99% from 381 problems on
    sizes: tuple[str, ...] = ()
    seed: Seed = 2311  # that of arith.harness and of `evaluate --hf` too, which thus test on the same problems
    task: str | None = None
    format: str | None = None
    sharpen: Sharpen | None = None
    loops: Count | None = None

    @staticmethod
    def of(values: Mapping[str, Any]) -> "EvaluationConfig":
        """Read a table; see `RunConfig.of`.

        >>> EvaluationConfig.of({"digits": "1-3"}).digits
        (1, 2, 3)
        """
        return _build(EvaluationConfig, values, "evaluation.")

    def sized(self, samples: int) -> dict[str, Any]:
        """The settings of tests of one size; those that are left out stay so.

        >>> EvaluationConfig(sizes=("0 nines 900", "4 900")).sized(7)
        {'samples': 7, 'long_samples': 7, 'sizes': ['0 nines 900']}
        """
        left_out = [text for text in self.sizes if text.split()[0].strip("0") == ""]
        return {"samples": samples, "long_samples": samples, "sizes": left_out}

    @property
    def longest(self) -> int:
        """The length of the longest operand tested or watched."""
        return max(
            (*self.digits, *self.watch, *itertools.chain(*(grid_lengths(self.grid) if self.grid else []))), default=1
        )


@dataclass(frozen=True)
class RunConfig:
    """One model: its problems, its shape, its training and its tests.

    >>> RunConfig.of({"encoding": "rope", "data": {"digits": "1-6"}}).data.digits
    (1, 6)
    """

    # Names, not objects: they come from the catalogue, where a user's own may be, and are saved as they are written.
    task: str = "addition"
    format: str = "padded-reversed"
    encoding: str = "coupled-window"
    imports: tuple[str, ...] = ()
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    trace: TraceConfig = field(default_factory=TraceConfig)
    auxiliary: AuxiliaryConfig = field(default_factory=AuxiliaryConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    @staticmethod
    def of(values: Mapping[str, Any]) -> "RunConfig":
        """Read nested tables, as a TOML or JSON file has them; `model.preset` names a shape that other values adjust.

        Raises:
            UsageError: a setting is unknown, or has a value of another type.
        """
        return _build(RunConfig, expand_preset(values), "")

    # By way of tables, not `dataclasses.replace`: one reader checks every value, wherever it comes from.
    def with_values(self, values: Mapping[str, Any]) -> "RunConfig":
        """The same configuration with some values replaced, and checked again."""
        return RunConfig.of(merge_tables(self.as_dict(), expand_preset(values)))

    @property
    def tested_task(self) -> str:
        return self.evaluation.task or self.task

    @property
    def tested_format(self) -> str:
        return self.evaluation.format or self.format

    @property
    def tested_sharpen(self) -> Sharpen:
        return self.model.sharpen if self.evaluation.sharpen is None else self.evaluation.sharpen

    @property
    def tested_loops(self) -> int:
        return self.evaluation.loops or self.model.most_loops

    @property
    def other_loops(self) -> int | None:
        """The number of loops in tests, if it is another than training's, of a range the most."""
        return None if self.tested_loops == self.model.most_loops else self.tested_loops

    @property
    def reads_text(self) -> bool:
        """Whether the model began as a pretrained one, which reads text by a tokenizer of its own."""
        return self.model.init is not None and not self.model.init.startswith(OWN)

    def samples_at(self, step: int) -> int:
        """The number of distinct training samples in the first `step` steps."""
        drawn = step * self.training.batch
        repeats = self.data.samples is not None and not self.data.renumber
        return min(drawn, self.data.samples or drawn) if repeats else drawn

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)
