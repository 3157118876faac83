"""The layout's promises: what is not there, who imports whom, and every way to start."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PARTS = ("encodings", "tasks", "kernels")
ALLOWED = {
    "tasks": {"arith.tasks"},
    "kernels": {"arith.kernels"},
    "encodings": {"arith.encodings", "arith.kernels"},
}


@pytest.mark.parametrize("part", PARTS)
def test_parts_are_namespace_packages(root: Path, part: str) -> None:
    assert not (root / part / "__init__.py").exists(), (
        "it would shadow the standard library's or Hugging Face's package"
    )
    link = root / "arith" / part
    assert link.is_symlink()
    assert os.readlink(link) == f"../{part}"


@pytest.mark.parametrize("part", PARTS)
def test_no_file_bears_a_standard_modules_name(root: Path, part: str) -> None:
    assert not {path.stem for path in (root / part).glob("*.py")} & sys.stdlib_module_names


@pytest.mark.parametrize("part", PARTS)
def test_imports_run_one_way(root: Path, part: str) -> None:
    for path in (root / part).glob("*.py"):
        imported = {module for module in _imported(path) if module.split(".")[0] == "arith"}
        outside = {m for m in imported if not any(m == a or m.startswith(a + ".") for a in ALLOWED[part])}
        assert not outside, f"{path} imports {outside}"


def test_encodings_and_kernels_can_be_lifted_into_another_project(root: Path, tmp_path: Path) -> None:
    for part in ("encodings", "kernels"):
        shutil.copytree(root / part, tmp_path / "arith" / part, ignore=shutil.ignore_patterns("__pycache__"))
    names = [
        f"arith.{path.parent.name}.{path.stem}"
        for part in ("encodings", "kernels")
        for path in (root / part).glob("*.py")
    ]
    assert len(names) > 25
    code = (
        "import importlib, pathlib, sys\n"
        f"home = {str(tmp_path)!r}\n"
        "sys.path[:] = [home] + [path for path in sys.path if path and not (pathlib.Path(path) / 'arith').exists()]\n"
        "sys.meta_path[:] = [finder for finder in sys.meta_path if 'editable' not in repr(finder).lower()]\n"
        f"for name in {names}:\n"
        "    assert importlib.import_module(name).__file__.startswith(home), name\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_tasks_need_no_torch(root: Path) -> None:
    names = [f"arith.tasks.{path.stem}" for path in (root / "tasks").glob("*.py")]
    code = f"import sys, {', '.join(names)}; assert 'torch' not in sys.modules"
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def _imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("value", [".", "{root}"])
def test_checkout_on_pythonpath_leaves_python_alive(root: Path, value: str) -> None:
    code = "import encodings, sys; assert 'site-packages' not in encodings.__file__; print(encodings.__file__)"
    environment = os.environ | {"PYTHONPATH": value.format(root=root)}
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert not ran.stdout.startswith(str(root / "encodings"))


def test_help_and_lists_import_no_torch(root: Path) -> None:
    code = (
        "import sys; sys.argv = ['arith', 'list']\n"
        "from arith.cli import cli\n"
        "cli(args=['list'], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_spawned_processes_import_the_parts(root: Path) -> None:
    code = (
        "import multiprocessing\n"
        "from arith.tasks.vocabulary import token\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        assert pool.map(token, ['7']) == [7]\n"
    )
    script = root / "runs" / f"spawn-{os.getpid()}.py"
    script.parent.mkdir(exist_ok=True)
    script.write_text(code)
    try:
        ran = subprocess.run([sys.executable, str(script)], cwd=root, capture_output=True, text=True)
    finally:
        script.unlink()
    assert ran.returncode == 0, ran.stderr


def test_every_test_that_the_reliability_table_names_exists(root: Path) -> None:
    table = (root / "docs" / "reliability.md").read_text()
    source = "".join(path.read_text() for path in (root / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", table))
    assert len(named) > 25
    assert not {name for name in named if f"def {name}(" not in source}


def test_text_files_are_opened_as_utf_8_whatever_the_locale(root: Path) -> None:
    """Without `encoding=` a file is read as the machine's locale has it, cp1252 on many."""
    found = [
        f"{path.relative_to(root)}:{line}"
        for part in ("arith", *PARTS)
        for path in (root / part).rglob("*.py")
        for line in _opened_by_locale(path.read_text(encoding="utf-8"))
    ]
    assert not found, found


@pytest.mark.parametrize(
    ("code", "by_locale"),
    [
        ("path.read_text()", True),
        ("path.write_text(text, encoding='utf-8')", False),
        ("open(path, 'a')", True),
        ("path.open('rb')", False),
        ("path.open(mode='wb')", False),
        ("os.open(path, os.O_RDONLY)", False),
        ("subprocess.run(command, text=True)", True),
    ],
)
def test_files_that_the_locale_decides_on_are_seen(code: str, by_locale: bool) -> None:
    assert bool(list(_opened_by_locale(code))) is by_locale


def _opened_by_locale(code: str) -> Iterator[int]:
    """Lines that open text without an encoding."""
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call) or any(keyword.arg in ("encoding", None) for keyword in node.keywords):
            continue
        called, options = ast.unparse(node.func), {keyword.arg: keyword.value for keyword in node.keywords}
        modes = [value.value for value in (*node.args, *options.values()) if isinstance(value, ast.Constant)]
        binary = any(isinstance(mode, str) and re.fullmatch("[rwax+]*b[rwax+]*", mode) for mode in modes)
        opens = re.search(r"(^|\.)open$", called) and called not in ("os.open", "Run.open") and not binary
        if opens or called.endswith((".read_text", ".write_text")) or ("text" in options and "subprocess" in called):
            yield node.lineno
