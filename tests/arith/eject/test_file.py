"""Encodings as single files: they run where only torch is, and do what the originals do.

Long, as files of all encodings are held to the same promises.
"""

import importlib.util
import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from click.testing import Result
from torch import Tensor, nn

import arith
from arith.catalogue.entries import ALIASES, ENCODINGS
from arith.eject.file import TRIED, eject
from arith.encodings import positions
from arith.encodings.compose import Composed
from arith.errors import UsageError
from arith.kernels.attention import attention

NAMES = [
    name
    for name in (*ENCODINGS.names(), *ALIASES)
    if name not in ("tilt",) and not name.startswith(("test-", "doctest"))
]
COMPOSITIONS = [
    "learned@abacus:origin=random,span=5+rope",
    "alibi+dape",
    "rope@segments+t5:bidirectional=true@coupled:levels=2",
    "random-embedding:at=heads,how=add@tags",
    "fire@randomized:span=64,tested=even",
    "sinusoidal@cape:tested=fixed",
    "t5@pose:span=64+forgetting",
    "shaw[0]+rope@coupled[1]",
]
SOME = ["coupled-window", "rope", "alibi+dape", "shaw[0]+rope@coupled[1]"]  # of one call of the op or more, each kind
SHORT = ["learned", "rope", "alibi", "t5", "abacus"]  # what people copy


def imported(text: str, folder: Path, name: str) -> ModuleType:
    """An ejected file as a module."""
    path = folder / f"{name}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


KINDS = torch.tensor([0] * 10 + [1, 1, 1, 2, 4, 4])
TOKENS = torch.tensor([[14, 0, 1, 2, 10, 3, 4, 5, 13, 7, 5, 3, 0, 15], [14, 9, 1, 2, 10, 3, 4, 5, 13, 7, 5, 2, 1, 15]])
KEYS = torch.tensor([5, 77])


def addition(parts: Any) -> Any:
    """Two sums, answers reversed.

    Args:
        parts: where `Prompt` and the other types of arguments come from.
    """
    table = parts.TokenTable(KINDS, (KINDS == 0).long())
    reading = parts.Reading(operands="msb", answer="lsb", fixed_width=True)
    return parts.Prompt(TOKENS, torch.tensor([9, 9]), table, reading, torch.tensor([4, 4]))


def outcome(composed: Composed) -> list[Tensor]:
    """Ids of two sums, what one layer makes of their tokens, and the gradients of whatever is learned."""
    ids = composed.full(addition(positions), TOKENS, KEYS, 64)
    placed = composed.place(ids)
    x: Any = composed.embed(states(), placed)
    layer = composed.at(0)
    x = layer.hidden(x, placed)
    q = k = v = x.unflatten(-1, (TRIED["heads"], -1)).transpose(1, 2)
    q, k = layer.rotate(q, k, placed)
    more = [own[0] for pair in composed.slide(placed, loop=2) for own in [pair.q]] if composed.slides else []
    more += [layer.taken(placed)] if composed.lanes else []
    out = attention(q, k, v, terms=layer.terms(x, q, k, placed, {}))
    return [*(own for level in ids for own in level), *more, q, k, out, *gradients(composed, out)]


def states() -> Tensor:
    return torch.randn(2, 14, TRIED["width"], generator=torch.Generator().manual_seed(1))


def gradients(module: nn.Module, out: Tensor) -> list[Tensor]:
    learned = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if learned:
        torch.autograd.backward(out.square().sum())
    return [p.grad for p in learned if p.grad is not None]


def ejected_outcome(file: ModuleType, encoding: Any, start: Tensor, **options: Any) -> list[Tensor]:
    """The same of a file, which has no method for what its encoding leaves alone.

    Args:
        start: where each sample's ids begin, if the file wants to be told.
    """

    def known(method: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        names = inspect.signature(method).parameters
        return method(*arguments, **{name: value for name, value in more.items() if name in names})

    if "prompt" in inspect.signature(encoding.ids_of).parameters:
        ids = encoding.ids_of(addition(file), TOKENS, KEYS, 64)
    else:
        ids = known(encoding.ids_of, TOKENS, digit_tokens=torch.arange(10), start=start)
    x = encoding.embed(states(), ids) if hasattr(encoding, "embed") else states()
    x = known(encoding.hidden, x, ids, layer=0) if hasattr(encoding, "hidden") else x
    q = k = v = x.unflatten(-1, (TRIED["heads"], -1)).transpose(1, 2)
    q, k = known(encoding.rotate, q, k, ids, layer=0) if hasattr(encoding, "rotate") else (q, k)
    shown = ids if isinstance(ids, tuple) else (ids[None],)
    more = [own[0] for own in encoding.slide(ids, loop=2)] if hasattr(encoding, "slide") else []
    more += [encoding.taken(ids)] if hasattr(encoding, "taken") else []
    if hasattr(encoding, "score_terms"):
        given = {"x": x, "q": q, "k": k, "q_ids": ids, "k_ids": ids, "memory": {}, "layer": 0}
        out = file.attention(q, k, v, terms=known(encoding.score_terms, **given), **options)
    else:
        out = attention(q, k, v)  # the file leaves attention alone
    return [*(own for level in shown for own in level), *more, q, k, out, *gradients(encoding, out)]


def check_equal(text: str, file: ModuleType, **options: Any) -> None:
    """An ejected file does what the encoding that it names does."""
    torch.manual_seed(0)
    spec = re.search(r"encoding (\S+) in one file", file.__doc__ or "")
    original: Composed = arith.encoding(spec[1] if spec else text, **TRIED)
    torch.manual_seed(0)
    shape = inspect.signature(file.PositionalEncoding).parameters
    taken = file.PositionalEncoding(**{name: value for name, value in TRIED.items() if name in shape})
    assert list(taken.state_dict()) == list(original.state_dict())
    with torch.no_grad():
        for parameter in original.parameters():
            parameter.add_(torch.randn(parameter.shape))  # tables that start at zero would tell nothing
    taken.load_state_dict(original.state_dict())
    offset = getattr(original.schemes[0], "_offset", None)
    start = offset(addition(positions), KEYS)[:, None] if offset else torch.zeros(2, 1)
    expected, found = outcome(original), ejected_outcome(file, taken, start, **options)
    assert len(expected) == len(found)
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(one, other, rtol=0 if not options else 1e-4, atol=0 if not options else 1e-4)


def check_file(text: str, folder: Path, kernel: bool = False) -> ModuleType:
    written = eject(text, kernel)
    assert not re.search(r"einops|jaxtyping|^\s*(import|from) arith", written, re.M)
    module = imported(written, folder, f"ejected_{re.sub(r'[^a-z0-9]', '_', text)}_{kernel}")
    return module


@pytest.mark.parametrize("text", dict.fromkeys([*SOME, *SHORT]))
def test_an_ejected_encoding_is_the_original(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = check_file(text, tmp_path)
    check_equal(text, file)
    file.demonstration()
    assert "tokens   ^   0   1   2   +" in capsys.readouterr().out


def torch_alone(folder: Path, *more: str) -> Path:
    """A folder with torch, and what torch says that it needs, as the only packages."""
    wanted, packages = ["torch", *more], folder / "packages"
    packages.mkdir()
    seen: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name.lower() in seen:
            continue
        seen.add(name.lower())
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # of another platform
        for file in {str(file).partition("/")[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            source = Path(str(distribution.locate_file(file)))
            if source.exists() and not (packages / file).exists():
                (packages / file).symlink_to(source)
        needed = [own for own in distribution.requires or () if "extra ==" not in own]
        wanted += [re.split(r"[^A-Za-z0-9._-]", own)[0] for own in needed]
    return packages


def run_alone(folder: Path, files: list[Path], packages: Path) -> subprocess.CompletedProcess[str]:
    """Each file as a program, in an empty folder, without anything else on the path."""
    empty = folder / "empty"
    empty.mkdir()
    for file in files:
        shutil.copy(file, empty / file.name)
    code = (
        f"import runpy, sys; sys.path.append({str(packages)!r})\n"
        "import importlib.util as util\n"
        "for name in ('arith', 'einops', 'jaxtyping'): assert util.find_spec(name) is None, name\n"
        f"for name in {[file.name for file in files]!r}: runpy.run_path(name, run_name='__main__')\n"
    )
    # Triton's interpreter, which tests ask for, would need NumPy.
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-I", "-S", "-c", code]
    return subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True)


def test_an_ejected_file_needs_torch_alone(tmp_path: Path) -> None:
    files = []
    for number, text in enumerate([*SOME, *SHORT]):
        files.append(tmp_path / f"positional_{number}.py")
        files[-1].write_text(eject(text))
    ran = run_alone(tmp_path, files, torch_alone(tmp_path))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("\nshape ") == len(files)


def test_ejected_files_are_formatted_and_whole(tmp_path: Path) -> None:
    for number, text in enumerate(SOME):
        for kernel in (False, True):
            (tmp_path / f"positional_{number}_{kernel}.py").write_text(eject(text, kernel))
    check_style(tmp_path)
    assert len(list(tmp_path.glob("*.py"))) == 2 * len(SOME)


def check_style(folder: Path) -> None:
    ruff = [sys.executable, "-m", "ruff"]
    for command in (["format", "--check"], ["check", "--select", "F,I,E,W,UP,B"]):
        ran = subprocess.run(
            [*ruff, *command, "--isolated", "--line-length", "120", folder], capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize("text", SHORT)
def test_what_people_copy_is_short_and_says_first_what_a_model_calls(text: str) -> None:
    file = eject(text)
    assert len(file.splitlines()) <= 150
    code = file.rpartition("from torch import")[2].partition("\n\n\n")[2]
    assert code.startswith("class PositionalEncoding(nn.Module):")
    assert ("digit_tokens: " in code) == (text == "abacus")
    assert "    def ids_of(" in code.partition("\n\n\n")[0]
    assert ("def attention(" in code) == (text in ("alibi", "t5"))


def test_what_an_encoding_does_not_use_is_left_out() -> None:
    window, rope = eject("coupled-window"), eject("rope")
    assert "class Coupled(" in window
    assert "class DistanceTable" in window
    assert "class Coupled" not in rope
    assert "raise " not in rope  # settings are known to be right
    assert "def step" not in window
    assert "class QueryTable" not in window
    assert "triton.jit" in eject("rope", kernel=True)
    assert "WindowTerm(self.left" in window  # a term, beside the encoding of the same name


def test_shared_ids_are_told_by_the_tokens_alone(tmp_path: Path) -> None:
    for text in ("learned@abacus:origin=random", "learned@sequential:origin=random,span=5", "learned@abacus"):
        check_equal(text, check_file(text, tmp_path))


def test_the_command_writes_prints_and_refuses(arith: Callable[..., Result], tmp_path: Path) -> None:
    assert arith("eject", "nope").stdout == eject("nope")
    wrote = arith("eject", "window", "--out", "positional.py")
    assert wrote.stdout == "file     positional.py\n"
    # A setting without a default is the gallery's, written where a reader finds it.
    assert "Window(left=8)" in (tmp_path / "positional.py").read_text()
    again = arith("eject", "window", "--out", "positional.py")
    assert again.exit_code == 2
    assert "positional.py exists" in again.stderr
    assert "Did you mean 'rope'" in arith("eject", "ropee").stderr
    assert arith("eject", "rope@tags").exit_code == 2
    assert "arith eject rope" in arith("show", "encoding", "rope").stdout


def test_an_encoding_of_the_users_own_is_ejected(arith: Callable[..., Result], root: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (root / "docs" / "using.md").read_text(), re.S)
    own = next(block for block in blocks if "@ENCODINGS.register" in block).replace("tilt", "test-tilt")
    (tmp_path / "tilt.py").write_text(own)
    ran = arith("eject", "test-tilt@coupled", "--import", "tilt.py")
    assert ran.exit_code == 0, ran.stderr
    file = imported(ran.stdout, tmp_path, "ejected_tilt")
    check_equal("test-tilt@coupled", file)


def test_layers_beyond_those_of_the_demonstration_eject() -> None:
    assert "InLayers(RoPE(head_width=width // heads), (0, 30))" in eject("rope[0,30]+t5[2]")


def test_a_text_that_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="Leave one of the two out"):
        eject("rope+shaw")


@pytest.mark.slow
@pytest.mark.parametrize("kernel", [False, True])
def test_every_name_ejects(kernel: bool, tmp_path: Path) -> None:
    files = []
    for number, text in enumerate([*NAMES, *COMPOSITIONS]):
        module = check_file(text, tmp_path, kernel)
        check_equal(text, module)
        files.append(tmp_path / f"positional_{number}.py")
        Path(str(module.__file__)).rename(files[-1])
    check_style(tmp_path)
    packages = torch_alone(tmp_path, *(["triton"] if kernel else []))
    ran = run_alone(tmp_path, files, packages)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("\nshape ") == len(files)


@pytest.mark.slow
@pytest.mark.parametrize("text", ["coupled-window", "t5", "fire"])
def test_ejected_kernels_compute_what_the_original_does(text: str, tmp_path: Path) -> None:
    check_equal(text, check_file(text, tmp_path, kernel=True), backend="triton")
