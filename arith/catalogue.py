"""What there is, by name. Names are lazy: listing them imports neither torch nor what they stand for."""

import hashlib
import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from arith.errors import UsageError, did_you_mean

Found = TypeVar("Found", bound=Callable[..., Any])


_WRITABLE = re.compile(r"[A-Za-z0-9_.\-]+")  # what a spec can name


class Catalogue:
    """Names of one kind of thing, each with a line that says what it is.

    >>> ENCODINGS.load("t5").__name__
    'T5'
    """

    def __init__(
        self, kind: str, entries: dict[str, tuple[str, str]], aliases: dict[str, tuple[str, str]] | None = None
    ) -> None:
        self.kind = kind
        self._reserved = {name: meaning for name, (meaning, _) in (aliases or {}).items()}
        self._targets: dict[str, str | Callable[..., Any]] = {name: target for name, (target, _) in entries.items()}
        self._lines = {name: line for name, (_, line) in entries.items()}
        self._looked_outside = False

    def names(self) -> list[str]:
        self._look_outside()
        return sorted(self._targets)

    def line(self, name: str) -> str:
        """What the name stands for, in one line."""
        return self._lines[name]

    def has(self, name: str) -> bool:
        return name in self.names()

    def check(self, name: str) -> None:
        """Raise if nothing has this name."""
        if not self.has(name):
            known = sorted({*self.names(), *self._reserved})
            raise UsageError(
                f"no {self.kind} is called '{name}'.{did_you_mean(name.lower(), known)}\n"
                f"{self.kind.capitalize()}s: {', '.join(known)}. Add your own with --import FILE"
            )

    def load(self, name: str) -> Callable[..., Any]:
        """What has this name."""
        self.check(name)
        target = self._targets[name]
        if isinstance(target, str):
            module, _, attribute = target.partition(":")
            loaded: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
            return loaded
        return target

    def register(self, name: str) -> Callable[[Found], Found]:
        """A decorator that adds a class under a name.

        >>> @SCHEMES.register("doctest-scheme")
        ... class Mine: ...
        >>> SCHEMES.load("doctest-scheme").__name__
        'Mine'
        """

        def add(thing: Found) -> Found:
            if not _WRITABLE.fullmatch(name):
                raise UsageError(
                    f"'{name}' cannot be the name of a {self.kind}: names are of letters, digits, '-', '_' and '.'"
                )
            known = self._targets.get(name) or self._reserved.get(name)
            if known is not None and not _same_code(known, thing):
                raise UsageError(f"{self.kind} '{name}' exists already: {known}. Choose another name")
            self._targets[name] = thing
            self._lines[name] = (thing.__doc__ or "").strip().partition("\n")[0]
            return thing

        return add

    def _look_outside(self) -> None:
        if self._looked_outside:
            return
        self._looked_outside = True
        for point in entry_points(group=f"arith.{self.kind.replace(' ', '_')}s"):
            if point.name in self._targets:
                raise UsageError(f"{self.kind} '{point.name}' exists already; {point.value} cannot take its name")
            self._targets[point.name] = point.value
            self._lines[point.name] = point.value


def _same_code(known: str | Callable[..., Any], thing: Callable[..., Any]) -> bool:
    """Whether a class comes from a file that is imported once more."""
    return (
        not isinstance(known, str) and known.__module__ == thing.__module__ and known.__qualname__ == thing.__qualname__
    )


def import_file(path: str) -> str:
    """Run a user's Python file, which registers what it defines, and return the sha256 of its bytes."""
    file = Path(path)
    if not file.is_file():
        raise UsageError(f"--import takes a Python file, and there is none at {path}")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    name = f"arith_imported_{digest[:16]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise UsageError(f"--import takes a Python file, got {path}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException as error:
            del sys.modules[name]
            if isinstance(error, UsageError) or not isinstance(error, Exception):
                raise
            place = _line_of(error, path)
            raise UsageError(f"--import {path} fails{place}: {type(error).__name__}: {error}") from error
    return digest


def _line_of(error: Exception, path: str) -> str:
    """Where in the user's file, if it tells."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return f" in line {lines[-1]}" if lines else ""


# Compositions that the field knows by one name.
ALIASES = {
    "abacus": ("learned@abacus:origin=cyclic", "learned embeddings on abacus ids"),
    "bipe": ("learned@abacus+rope@segments", "BiPE: learned embeddings inside a number, rope from number to number"),
    "cape": (
        "sinusoidal@cape",
        "sinusoidal embeddings of positions shifted, jittered and scaled at random",
    ),
    "coupled": ("learned@coupled:origin=cyclic", "learned embeddings on coupled ids"),
    "coupled-window": (
        "(relative:radius=1+window:left=1,right=1)@coupled",
        "bias and window on differences of coupled ids: sees its own significance and one on each side",
    ),
    "sliding-window": (
        "(relative:radius=1+window:left=1,right=1)@multiplicand+(relative:radius=1+window:left=1,right=1)@multiplier",
        "for looped multiplication: each loop sees one digit of each factor, and a neighbour on each side",
    ),
    "sliding-lanes": (
        "(lanes:lane=1+window:left=1)@multiplicand:ahead=true+(lanes:lane=2+window:left=0)@multiplier:ahead=true",
        "for loops that are summed: half of the heads of the first layer begin at one digit of each factor",
    ),
    "random-tags": (
        "random-embedding@tags",
        "the random embedding of Shen et al.: fresh random vectors for each sequence",
    ),
}

ENCODINGS = Catalogue(
    "encoding",
    {
        "alibi": ("arith.encodings.biases:ALiBi", "a penalty proportional to distance, its slope fixed for each head"),
        "cope": ("arith.encodings.cope:CoPE", "positions count the tokens that a query finds worth counting"),
        "dape": ("arith.encodings.dape:DAPE", "a score for each distance, and an MLP that adapts it to the scores"),
        "fire": ("arith.encodings.fire:FIRE", "a learned function of distance relative to the query's position"),
        "forgetting": ("arith.encodings.forgetting:Forgetting", "scores fade by gates computed from the tokens"),
        "hard-alibi": ("arith.encodings.biases:HardALiBi", "some heads see only near keys, each its own window"),
        "kerple": ("arith.encodings.biases:KERPLE", "a penalty that grows as a learned logarithm or power of distance"),
        "lanes": ("arith.encodings.lanes:Lanes", "a learned score for each small distance, sharp from the start"),
        "learned": ("arith.encodings.learned:Learned", "a trained vector for each position, added to the token's"),
        "nope": ("arith.encodings.nope:NoPE", "nothing: only the causal mask tells positions"),
        "random-embedding": (
            "arith.encodings.random_embedding:RandomEmbedding",
            "a random vector for each id, at the input, in every layer or in queries and keys",
        ),
        "relative": ("arith.encodings.relative:Relative", "a learned score for each small distance"),
        "rope": ("arith.encodings.rope:RoPE", "queries and keys rotated by angles that grow with the position"),
        "rope-interpolated": (
            "arith.encodings.rope_scaled:Interpolated",
            "rope with all frequencies lowered, so that longer inputs have the angles of the trained ones",
        ),
        "rope-llama3": (
            "arith.encodings.rope_scaled:Llama3",
            "rope with low frequencies lowered, as Llama 3.1 has it",
        ),
        "rope-long": ("arith.encodings.rope_scaled:LongRoPE", "rope with a divisor for each frequency"),
        "rope-ntk": (
            "arith.encodings.rope_scaled:NTK",
            "rope with a larger base; dynamic NTK, for a known capacity, is the same",
        ),
        "rope-yarn": (
            "arith.encodings.rope_scaled:YaRN",
            "rope with low frequencies lowered and attention sharpened",
        ),
        "sandwich": ("arith.encodings.biases:Sandwich", "a penalty by how sinusoidal embeddings differ; not learned"),
        "shaw": ("arith.encodings.shaw:Shaw", "a learned key for each small distance"),
        "sinusoidal": (
            "arith.encodings.sinusoidal:Sinusoidal",
            "sines and cosines of the position, added to the token",
        ),
        "t5": ("arith.encodings.t5:T5", "a learned score for each bucket of distances"),
        "transformer-xl": ("arith.encodings.transformer_xl:TransformerXL", "keys projected from sinusoids of distance"),
        "window": ("arith.encodings.window:Window", "keys beyond a distance are hidden"),
        "xpos": ("arith.encodings.xpos:XPos", "rope whose scores fade with the distance"),
    },
    ALIASES,
)

SCHEMES = Catalogue(
    "position scheme",
    {
        "abacus": ("arith.encodings.digit_positions:Abacus", "the place of a digit in its number, as it is written"),
        "cape": ("arith.encodings.by_token:CAPE", "the index of the token, shifted, jittered and scaled at random"),
        "coupled": (
            "arith.encodings.coupled:Coupled",
            "the significance of a digit, in operands and answer alike; levels=2 adds which number it is of",
        ),
        "multiplicand": (
            "arith.encodings.sliding:Multiplicand",
            "the significance of a digit; the first factor moves along the answer, a column each loop",
        ),
        "multiplier": (
            "arith.encodings.sliding:Multiplier",
            "the significance of a digit; all of the answer moves along the second factor, a digit each loop",
        ),
        "pose": ("arith.encodings.pose:PoSE", "the index of the token; in training it skips ahead at random places"),
        "randomized": ("arith.encodings.randomized:Randomized", "ascending ids, drawn at random from many"),
        "segments": ("arith.encodings.segments:Segments", "the index of the number, sign or run of words"),
        "sequential": ("arith.encodings.positions:Sequential", "the index of the token"),
        "tags": ("arith.encodings.by_token:Tags", "a random number for each token"),
    },
)

TASKS = Catalogue(
    "task",
    {
        "addition": ("arith.tasks.addition:Addition", "123+456=579; addition:operands=3 adds three"),
        "copy": ("arith.tasks.strings:Copy", "12034=12034; copy:distinct=true has no digit twice"),
        "dialogue": (
            "arith.tasks.dialogue:Dialogue",
            "a student asks for a sum, a teacher answers; tests have wordings of their own; talk=short: a third of it",
        ),
        "multiplication": ("arith.tasks.multiplication:Multiplication", "12*34=408"),
        "reverse": ("arith.tasks.strings:Reverse", "12034=43021; reverse:distinct=true has no digit twice"),
        "subtraction": ("arith.tasks.subtraction:Subtraction", "123-456=-333"),
    },
)

# What a format may add to the order and padding of its digits.
DECORATIONS = Catalogue(
    "decoration",
    {
        "groups": ("arith.tasks.decorations:Groups", "a space between groups of digits; groups:size=1 spaces them all"),
        "hints": ("arith.tasks.decorations:Hints", "before each digit a symbol for its significance"),
        "spaces": ("arith.tasks.decorations:Spaces", "random spaces between digits and operators"),
    },
)

WORKINGS = Catalogue(
    "working",
    {
        "detailed": ("arith.tasks.workings:Detailed", "each column's digits, carry and result"),
        "partial-products": ("arith.tasks.workings:PartialProducts", "one factor times each digit of the other"),
        "recursive": ("arith.tasks.workings:Recursive", "each step restates what remains of the operands"),
        "scratchpad": ("arith.tasks.workings:Scratchpad", "each column's result and carry"),
    },
)
