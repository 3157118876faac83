"""Every encoding, position scheme, task, decoration and working that comes with arith, by name."""

from arith.catalogue.registry import Catalogue

# Compositions that the field knows by one name: for each the text that it stands for, and a line for `arith list`. They
# take no settings: whoever wants others writes the text out.
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
    "coupled-text": (
        "(relative:radius=1+window:left=1,right=1)@coupled:leads=true+learned@segments",
        "the coupled window for sums in a text: spaces before numbers have ids too, and each number an embedding",
    ),
    "sliding-window": (
        "(relative:radius=1+window:left=1,right=1)@multiplicand+(relative:radius=1+window:left=1,right=1)@multiplier",
        "for looped multiplication: each loop sees one digit of each factor, and a neighbour on each side",
    ),
    "sliding-lanes": (
        "(lanes:lane=1+window:left=1)@multiplicand:ahead=true+(lanes:lane=2+window:left=0)@multiplier:ahead=true",
        "for loops that are summed: half of the heads of the first layer begin at one digit of each factor",
    ),
    "sliding-lookup": (
        "lookup@multiplicand:ahead=true+lookup@multiplier:ahead=true+relative:radius=64,gain=1,spread=3",
        "for loops that are summed: the first layer takes the two digits that meet; a bias by distance after it",
    ),
    "random-tags": (
        "random-embedding@tags",
        "the random embedding of Shen et al.: fresh random vectors for each sequence",
    ),
}
# Targets are texts, "module:class", so that importing this file imports none of them: see `Catalogue`.
ENCODINGS = Catalogue(
    "encoding",
    {
        "alibi": ("arith.encodings.biases:ALiBi", "a penalty proportional to distance, its slope fixed for each head"),
        "cope": ("arith.encodings.cope:CoPE", "positions count the tokens that a query finds worth counting"),
        "dape": ("arith.encodings.dape:DAPE", "a score for each distance, and an MLP that adapts it to the scores"),
        "fire": ("arith.encodings.fire:FIRE", "a learned function of distance relative to the query's position"),
        "forgetting": ("arith.encodings.forgetting:Forgetting", "scores fade by gates computed from the tokens"),
        "grape": ("arith.encodings.grape:GRAPE", "queries and keys rotated in a learned plane of each head"),
        "hard-alibi": ("arith.encodings.biases:HardALiBi", "some heads see only near keys, each its own window"),
        "kerple": ("arith.encodings.biases:KERPLE", "a penalty that grows as a learned logarithm or power of distance"),
        "lanes": ("arith.encodings.lanes:Lanes", "a learned score for each small distance, sharp from the start"),
        "learned": ("arith.encodings.learned:Learned", "a trained vector for each position, added to the token's"),
        "nope": ("arith.encodings.nope:NoPE", "nothing: only the causal mask tells positions"),
        "lookup": ("arith.encodings.lookup:Lookup", "in the first layer a token takes the first one with its id"),
        "pope": ("arith.encodings.pope:PoPE", "magnitudes of queries and keys, at phases that grow with the position"),
        "random-embedding": (
            "arith.encodings.random_embedding:RandomEmbedding",
            "a random vector for each id, at the input, in every layer or in queries and keys",
        ),
        "relative": ("arith.encodings.relative:Relative", "a learned score for each small distance"),
        "relative-logits": (
            "arith.encodings.relative_logits:RelativeLogits",
            "a score for each distance, which each token mixes of a few learned profiles",
        ),
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
        "nesting": ("arith.encodings.nesting:Nesting", "how many parentheses a token stands in, from 1"),
        "pose": ("arith.encodings.pose:PoSE", "the index of the token; in training it skips ahead at random places"),
        "randomized": ("arith.encodings.randomized:Randomized", "ascending ids, drawn at random from many"),
        "segments": ("arith.encodings.segments:Segments", "the index of the number, sign or run of words"),
        "sequential": ("arith.encodings.positions:Sequential", "the index of the token"),
        "symbols": (
            "arith.encodings.symbols:Symbols",
            "which letter or mark a token is; a name has one id",
        ),
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
        "expression": (
            "arith.tasks.expression:Expression",
            "3*(5+(5-2))+6=30; its digits are the depth of parentheses; below=10 keeps values small",
        ),
        "lego": (
            "arith.tasks.lego:Lego",
            "ba1,a.0;b=1: values along a chain of shuffled clauses; its digits are steps of reasoning",
        ),
        "modular-sum": ("arith.tasks.modular:ModularSum", "31479=4: the sum of all digits modulo 5, or modulo=2 to 10"),
        "multiplication": ("arith.tasks.multiplication:Multiplication", "12*34=408"),
        "parity": ("arith.tasks.modular:Parity", "10110=1: whether ones are odd in number"),
        "request": (
            "arith.tasks.request:Request",
            "What is 842 plus 62?=add(842,62): a query in words, answered by a call; outside=0.2 of none() at all",
        ),
        "reverse": ("arith.tasks.strings:Reverse", "12034=43021; reverse:distinct=true has no digit twice"),
        "subtraction": ("arith.tasks.subtraction:Subtraction", "123-456=-333"),
    },
)
# A format is an order and padding of digits, one of `arith.tasks.formats.NAMED`, with at most one decoration and one
# working. Two catalogues, as a format can have one of each: symbols between digits, and steps before the result.
DECORATIONS = Catalogue(
    "decoration",
    {
        "blanks": ("arith.tasks.decorations:Blanks", "a canvas of columns, with blanks where no digit stands"),
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
        "running": ("arith.tasks.running:Running", "the sum so far after each digit of a string"),
        "scratchpad": ("arith.tasks.workings:Scratchpad", "each column's result and carry"),
    },
)
# Small experiments without a transformer, which a recipe names as `study`; their settings are the recipe's.
STUDIES = Catalogue(
    "study",
    {
        "threshold": (
            "arith.studies.threshold:Threshold",
            "the bias of a neuron that counts signs, by the step size of gradient descent",
        ),
        "views": (
            "arith.studies.views:Views",
            "which views of a class a convolutional network learns, with augmentation and without",
        ),
    },
)
# What adds encodings to models of transformers. It stands above experiments, which find it by name, as they do studies.
ATTACHING = Catalogue(
    "way of attaching",
    {"attach": ("arith.hf.attachment.attach:attach", "adds an encoding to a pretrained model's own positions")},
)
