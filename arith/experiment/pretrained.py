"""A local folder with a pretrained model of Hugging Face, from which a run may start."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from arith.catalogue.entries import ATTACHING
from arith.config.pretrained import folder_of
from arith.data.dataset import Samples
from arith.data.tokenized import TokenizedProblems, TokenizedSamples
from arith.encodings.positions import Prompt, Reading, Scheme, TokenTable
from arith.errors import UsageError
from arith.experiment.hf_folder import load_causal_model, load_config, load_tokenizer
from arith.model.kinds.pretrained import Pretrained
from arith.tasks.formats import Format


@dataclass(frozen=True)
class PretrainedFolder:
    """A local folder with a causal model and its tokenizer.

    Args:
        folder: the path, which `save_pretrained` wrote.
        tokenizer: its fast tokenizer, which has an end-of-sequence token.
    """

    folder: Path
    tokenizer: Any

    @staticmethod
    @functools.cache
    def of(text: str) -> "PretrainedFolder":
        """The folder that `hf:FOLDER` names, read once a process.

        Raises:
            UsageError: there is none, it holds one of arith's own models, or its tokenizer cannot be used.
        """
        folder = folder_of(text)
        tokenizer = load_tokenizer(folder)
        # Only fast tokenizers give each token's place in the text, from which the answer's tokens are known.
        if not tokenizer.is_fast:
            raise UsageError(
                f"the tokenizer in {folder} does not tell where its tokens stand in the text: take a fast one"
            )
        if tokenizer.eos_token_id is None:
            raise UsageError(f"the tokenizer in {folder} has no token that ends an answer: set its eos_token")
        return PretrainedFolder(folder, tokenizer)

    def model(self) -> Pretrained:
        """Load the model with its weights, in float32 whatever they were saved in.

        Raises:
            UsageError: the folder holds no causal model.
        """
        config = load_config(self.folder)
        # Dropout is a module in some models, which `Pretrained` sets to 0, and a number in others.
        for name in vars(config):
            if name.endswith(("dropout", "pdrop")) and isinstance(getattr(config, name), float):
                setattr(config, name, 0.0)
        # A dry run builds its model on the meta device, and wants its shape alone.
        if torch.empty(0).device.type == "meta":
            return Pretrained(AutoModelForCausalLM.from_config(config))
        # Updates are smaller than half precision can add to a weight, so weights are float32 in every precision.
        return Pretrained(load_causal_model(self.folder, config=config, dtype=torch.float32).train())

    def attach(self, model: Pretrained, encoding: str, form: str, digits: int) -> None:
        """Add an encoding to the model's own positions; its numbers are then the model's, in checkpoints too.

        Args:
            model: what `model` gave.
            encoding: the text, with `own` in it.
            form: the format in which numbers are written.
            digits: of the longest number.

        Raises:
            UsageError: why it does not go with this model or this text, or that it draws its ids.
        """
        added: Any = ATTACHING.load("attach")(model.inner, encoding, self.tokenizer, format=form, digits=digits)
        if any(_draws(scheme) for scheme in added.encoding.schemes):
            raise UsageError(
                f"'{encoding}' draws its ids, and training from a pretrained model has no keys of samples to draw them "
                "from: use a fixed origin, or another scheme"
            )
        model.prompts_argument = added.prompts_argument

    def tokenize(self, problems: Samples, form: Format) -> "TokenizedSamples":
        """Problems as this model reads them. Digits are put apart by the format, not by the tokenizer's wrapper."""
        return TokenizedSamples(problems, TokenizedProblems(self.tokenizer, form, spaced=False))


def _draws(scheme: Scheme) -> bool:
    """Whether a sample's ids depend on its key."""
    tokens, one = torch.zeros(1, 4, dtype=torch.long), torch.ones(1, dtype=torch.long)
    prompt = Prompt(tokens, 4 * one, TokenTable(0 * one, one), Reading("msb", "lsb", True), 4 * one)
    ids = [scheme.full(prompt, tokens, key * one, 8) for key in range(4)]
    return any(not torch.equal(own, ids[0]) for own in ids)
