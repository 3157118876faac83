"""Files that are whole or what they were before."""

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Replace a file's content at once."""
    building = path.with_name(f".{path.name}.building-{os.getpid()}")
    building.write_text(text)
    building.replace(path)
