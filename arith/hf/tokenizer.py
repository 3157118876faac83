"""arith's vocabulary as a tokenizer of Hugging Face, which any program can load: a character is a token."""

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from arith.tasks import vocabulary


def character_tokenizer(size: int) -> PreTrainedTokenizerFast:
    """A tokenizer of the vocabulary's first `size` entries. It begins each text with `^`, as training data does.

    A character that the vocabulary lacks raises an exception: no entry stands for unknown ones.

    >>> tokenizer = character_tokenizer(17)
    >>> tokenizer("12+3=")["input_ids"]
    [14, 1, 2, 10, 3, 13]
    """
    # No unknown token: it would turn a typing error into another problem, which the model would answer confidently.
    begin, end, pad = vocabulary.BEGIN, vocabulary.END, vocabulary.PAD
    tokenizer = Tokenizer(models.WordLevel({symbol: token for token, symbol in enumerate(vocabulary.SYMBOLS[:size])}))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")  # a dot would pass over line breaks
    tokenizer.decoder = decoders.Fuse()  # without it, decoding would put spaces between characters
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A", special_tokens=[(begin, vocabulary.token(begin))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=begin,
        eos_token=end,
        pad_token=pad,
        padding_side="left",  # `generate` continues at the right end of a row
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )
