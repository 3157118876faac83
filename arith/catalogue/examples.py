"""Settings of encodings and position schemes, and for each encoding an example that shows what it does."""

import inspect
from collections.abc import Callable, Collection

from arith.catalogue.build import GIVEN, SHAPE
from arith.catalogue.entries import ENCODINGS, SCHEMES

# Tokens: the longest sequence of an imagined training, and of the picture. Twice as long, to show extrapolation.
TRAINED, SHOWN = 48, 96
# For settings without a default, or with one for real models, by which nothing would be seen within SHOWN tokens.
EXAMPLES = {
    "trained": str(TRAINED),
    "threshold": str(TRAINED),
    "factors": "1-1-1.2-1.4-1.6-1.8-2-2",
    "scale_base": "32",
}
ON = {"lookup": "@coupled"}  # where every token has an id of its own, there is nothing to look up
OTHERWISE = "8"  # for any other setting without a default: small enough to show within SHOWN tokens


def encoding_settings(name: str) -> dict[str, object]:
    """The settings of an encoding and their defaults, `inspect.Parameter.empty` where there is none.

    >>> encoding_settings("t5")
    {'buckets': 32, 'farthest': 128, 'bidirectional': False}
    """
    return _settings(ENCODINGS.load(name), GIVEN)


def scheme_settings(name: str) -> dict[str, object]:
    """The settings of a position scheme and their defaults.

    >>> scheme_settings("randomized")
    {'span': 2048, 'tested': 'random'}
    """
    return _settings(SCHEMES.load(name), SHAPE)


def _settings(make: Callable[..., object], given: Collection[str]) -> dict[str, object]:
    parameters = inspect.signature(make).parameters.values()
    # *args and **kwargs are no settings: nothing in a text could name them.
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    settable = [parameter for parameter in parameters if parameter.name not in given and parameter.kind not in several]
    return {parameter.name: parameter.default for parameter in settable}


def example(name: str) -> str:
    """Write an encoding with the settings of its picture; an alias stands for itself.

    >>> example("window")
    'window:left=8'
    """
    if name not in ENCODINGS.names():
        return name
    given = {
        setting: EXAMPLES.get(setting, OTHERWISE)
        for setting, default in encoding_settings(name).items()
        if setting in EXAMPLES or default is inspect.Parameter.empty
    }
    settings = ",".join(f"{setting}={value}" for setting, value in given.items())
    return name + (":" if given else "") + settings + ON.get(name, "")
