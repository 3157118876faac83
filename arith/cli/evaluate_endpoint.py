"""arith evaluate for a model behind HTTP."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from arith.errors import UsageError

if TYPE_CHECKING:
    from arith.cli.text_options import TextOptions
    from arith.evaluation.text.endpoint import Endpoint
    from arith.evaluation.text.prompts import Respondent, TextTest
    from arith.results.schema import Condition, Results


def open_endpoint(options: "TextOptions") -> "Endpoint":
    """The server that options name, before anything is sent.

    Raises:
        UsageError: its URL may not be used, or its key is not there.
    """
    from arith.evaluation.text.endpoint import Endpoint, check_url

    assert options.endpoint is not None
    url = check_url(options.endpoint, options.insecure or False)
    key = ""
    if options.key_env is not None:
        key = os.environ.get(options.key_env, "").strip()
        # Python's own message about a header that cannot be sent would print the key.
        if not key or not key.isascii() or not key.isprintable() or " " in key:
            raise UsageError(
                f"--key-env names an environment variable that holds a key, and ${options.key_env} has none"
            )
    return Endpoint(url, key, options.key_env or "", options.timeout or 60.0)


def ask(
    endpoint: "Endpoint",
    options: "TextOptions",
    of: "TextTest",
    sets: "Sequence[Condition]",
    who: "Respondent",
    path: Path,
) -> "Results":
    """Ask what was not asked yet, and score all replies."""
    from arith.evaluation.text.asking import ask_endpoint
    from arith.process.files import as_file_name
    from arith.process.hints import command_line
    from arith.process.progress import say
    from arith.process.signals import Interrupted

    assert options.model is not None
    transcript = options.prompts or path.with_name(f"{as_file_name(options.name)}-replies.jsonl")
    say(f"replies  {transcript}")
    try:
        results = ask_endpoint(endpoint, options.model, of, sets, who, transcript, options.concurrency or 8)
    except KeyboardInterrupt:
        raise Interrupted(command_line(*sys.argv[1:])) from None
    if failed := sum(int(cell.measures.get("error", 0)) for cell in results.cells):
        say(f"{failed} problems have no reply, and count as failures; the same command asks them again")
    return results
