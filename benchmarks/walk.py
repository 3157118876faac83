"""How often a reader turns the page: the files of arith that a command passes through. Goal: half of e40fa8b's returns.

    python benchmarks/walk.py [COMMAND ...]

walks from a recipe's name to a finished run of one step, or through another command of arith. It walks whatever
`import arith` finds: with PYTHONPATH, an older checkout.
"""

import collections
import functools
import inspect
import sys
import tempfile
from pathlib import Path
from types import CodeType, FrameType

import arith
from arith.cli import cli

HOUSE = f"{Path(arith.__file__).parent}/"
# Seen through links in the package, and rooms of their own: the walk there is short, and the same for every command.
OUTSIDE = {"encodings", "tasks", "kernels"}


def file_of(code: CodeType) -> str | None:
    """The file of arith that a function stands in; None for any other."""
    if not code.co_filename.startswith(HOUSE):
        return None
    name = code.co_filename.removeprefix(HOUSE)
    return None if name.partition("/")[0] in OUTSIDE else name


def reads_as_field(frame: FrameType) -> bool:
    """Whether a frame computes a property: `curve.seeds` sends no reader to another page, stored or computed."""
    code = frame.f_code
    owner = type(frame.f_locals.get(code.co_varnames[0])) if code.co_argcount else None
    return isinstance(inspect.getattr_static(owner, code.co_name, None), property | functools.cached_property)


class Walk:
    """Calls from one file of arith into another, each in the place where it first happens.

    A call that comes again is not walked again: else a loop over steps, cells or fields would be all of the walk. Nor
    is what runs because a module is imported, as which import comes first is chance; nor a property, though the calls
    that it makes are.
    """

    def __init__(self) -> None:
        # Dictionaries keep the order in which keys first came.
        self.calls: dict[tuple[CodeType, CodeType], tuple[str, str]] = {}
        self.importing = 0

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if frame.f_code.co_name == "<module>":
            self.importing += {"call": 1, "return": -1}.get(event, 0)
        elif event == "call" and not self.importing and (file := file_of(frame.f_code)) is not None:
            caller = frame.f_back
            # Through click, torch and contextlib to whoever called them.
            while caller is not None and file_of(caller.f_code) is None:
                caller = caller.f_back
            before = None if caller is None else file_of(caller.f_code)
            if caller is not None and before not in (None, file) and not reads_as_field(frame):
                self.calls.setdefault((caller.f_code, frame.f_code), (str(before), file))


def count_returns(files: list[str]) -> str:
    """Files, changes of file, and how many of these lead to a file that was left before."""
    stays = [file for place, file in enumerate(files) if place == 0 or files[place - 1] != file]
    return f"{len(set(stays))} files, {len(stays)} stays, {len(stays) - len(set(stays))} returns"


def main() -> None:
    walk = Walk()
    with tempfile.TemporaryDirectory() as folder:
        whole_way = ["reproduce", str(Path(__file__).with_suffix(".toml")), "--out", folder]
        sys.setprofile(walk)
        try:
            cli(args=sys.argv[1:] or whole_way, standalone_mode=False)
        finally:
            sys.setprofile(None)
    files = [file for _, file in walk.calls.values()]
    trained = next((place for place, (_, code) in enumerate(walk.calls) if code.co_name == "train"), len(files))
    print(f"the whole way:   {count_returns(files)}\nbefore training: {count_returns(files[:trained])}\n")
    print("calls between two files")
    pairs = collections.Counter(tuple(sorted(pair)) for pair in walk.calls.values())
    print("\n".join(f"{count:5}  {one} - {other}" for (one, other), count in pairs.most_common(12)))


if __name__ == "__main__":
    main()
