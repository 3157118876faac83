"""A run's model as a folder that Hugging Face's `from_pretrained`, lm-evaluation-harness and `arith ask` read."""

from pathlib import Path

import arith
from arith.errors import UsageError
from arith.experiment.experiment import Experiment
from arith.experiment.exported import config_of
from arith.experiment.pretrained import PretrainedFolder
from arith.experiment.provenance import git_commit, provenance_of
from arith.experiment.run import Run
from arith.experiment.shipped import RESULTS
from arith.hf.card import write_card
from arith.hf.model import ArithConfig, ArithForCausalLM
from arith.hf.tokenizer import character_tokenizer
from arith.model.kinds.pretrained import Pretrained
from arith.model.transformer import Transformer
from arith.process.files import building
from arith.results.schema import Results


def export_model(run: Run, folder: Path, name: str) -> None:
    """Write the model of a run's last step, its tokenizer, its results and a card made from them.

    Args:
        run: the finished run.
        folder: the folder to write; one that is there is replaced once the new one is whole.
        name: what the card calls the model.

    Raises:
        UsageError: the run has no results of its last step, or has an encoding of the user's own.
    """
    config_of(run.config.as_dict())  # refuses what could not be loaded from the folder alone
    experiment = Experiment.of(run.config)
    if experiment.reads_in_place:
        raise UsageError(
            f"{run.folder} holds a model that reads values in place and continues no prompt, which is what an exported "
            f"model is for. Train one on lego:asked=one or another task"
        )
    model, checkpoint = run.load_model(experiment)
    results = _results_of(run, checkpoint.step)
    with building(folder) as aside:
        if isinstance(model, Pretrained):
            model.inner.save_pretrained(aside)
            PretrainedFolder.of(str(run.config.model.init)).tokenizer.save_pretrained(aside)
        else:
            _save(model, experiment, checkpoint.step, aside)
        # A run's own record has its command line too, and so paths of this machine. The folder is for others.
        Results(results.cells, {"runs": provenance_of([results])}, results.anatomy).save(aside / RESULTS)
        (aside / "README.md").write_text(
            write_card(name, run.config, results, model.parameter_count()), encoding="utf-8"
        )


def _save(model: Transformer, experiment: Experiment, step: int, folder: Path) -> None:
    # The weights are here, and where they began is a path of this machine: the card says its name.
    described = experiment.config.with_values({"model": {"init": None, "init_step": None}})
    config = ArithConfig(
        run=described.as_dict(),
        step=step,
        arith_version=arith.__version__,
        arith_commit=git_commit(),
    )
    exported = ArithForCausalLM(config)
    exported.transformer.load_state_dict(model.state_dict())
    exported.save_pretrained(folder)
    character_tokenizer(experiment.vocabulary_size).save_pretrained(folder)


def _results_of(run: Run, step: int) -> Results:
    if not run.results.is_file():
        raise UsageError(f"{run.folder} has no results.json, from which its card is made. Finish it with arith train")
    results = Results.load(run.results)
    # A resumed run may have trained beyond the step that was tested: its card would be about another model.
    steps = {cell.step for cell in results.cells}
    if steps != {step}:
        raise UsageError(
            f"{run.results} is about step {', '.join(map(str, sorted(steps)))}, and the model is of step {step}. "
            "Resume the run, which is tested at its end"
        )
    return results
