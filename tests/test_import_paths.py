"""Import paths that stay: README, docs, the notebook, exported folders and other people's code hold them."""

import subprocess
import sys
from pathlib import Path

# What each of them leads to, by the name of its type: none may turn into a submodule of that name.
PATHS = {
    "arith.__version__": "str",
    "arith.encoding": "function",
    **{f"arith.catalogue.{name}": "Catalogue" for name in ("ENCODINGS", "SCHEMES", "TASKS", "DECORATIONS", "WORKINGS")},
    "arith.catalogue.ALIASES": "dict",
    **{f"arith.catalogue.{name}": "function" for name in ("import_file", "format_named", "task_named")},
    "arith.data.Dataset": "type",
    "arith.config.RunConfig": "type",
    "arith.results.Results": "type",
    "arith.results.Cell": "type",
    "arith.results.GRID": "str",
    "arith.model.Transformer": "type",
    "arith.eject.ejected": "function",
    **{f"arith.hf.{name}": "function" for name in ("attach", "detach", "attached", "own_rope", "save", "load")},
    "arith.hf.model": "module",
    "arith.hf.text.TokenizedProblems": "type",
    "arith.cli.main": "function",
    "arith.harness": "module",
}
CODE = (
    f"""
PATHS = {PATHS!r}
"""
    + """
import importlib, pathlib, pkgutil, types

import arith

# All of the package first: importing a submodule binds its name in its package, in the place of a function that was
# exported by that name. Before that has happened, a look at the paths proves nothing.
root = pathlib.Path(arith.__file__).parent
modules = [name for _, name, _ in pkgutil.walk_packages(arith.__path__, "arith.") if not name.endswith("__main__")]
# These three are namespace packages, which walk_packages passes over.
for part in ("encodings", "tasks", "kernels"):
    modules += [f"arith.{part}.{path.stem}" for path in (root / part).glob("*.py")]
for name in modules:
    importlib.import_module(name)

for path, kind in PATHS.items():
    module, _, name = path.rpartition(".")
    found = getattr(importlib.import_module(module), name)
    assert type(found).__name__ == kind, f"{path} is {found!r}, not a {kind}"

rooms = [module for module in map(importlib.import_module, modules) if hasattr(module, "__path__")]
for package in rooms:
    exported = set(getattr(package, "__all__", ()))
    alike = exported & {name for _, name, _ in pkgutil.iter_modules(package.__path__)}
    assert not alike, f"{package.__name__} has submodules named like what it exports: {alike}"
    for name in exported:
        assert not isinstance(getattr(package, name), types.ModuleType), f"{package.__name__}.{name} is a module"
print(len(rooms))
"""
)


def test_the_import_paths_that_stay_lead_to_what_they_did(root: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", CODE], cwd=root, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) >= 17
