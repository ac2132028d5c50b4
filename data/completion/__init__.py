"""The verb `completion`: what the Tab key of a shell offers for the command `lensjax`.

`lensjax completion bash` prints a script for bash; zsh and fish have theirs. The script holds the
verbs, their options and the choices of these, so that the shell answers at once and starts no
Python. It is made from what `lensjax VERB --help` says, whatever that verb reads its options with.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from data.completion.reading import words_of
from data.completion.scripts import SHELLS
from data.verb import Verb

WHERE = """\
Written once, the script is there in every new shell:

  lensjax completion bash > ~/.local/share/bash-completion/completions/lensjax
  lensjax completion zsh > FOLDER/_lensjax      (a folder of $fpath, before compinit)
  lensjax completion fish > ~/.config/fish/completions/lensjax.fish

`eval "$(lensjax completion bash)"` is for the shell at hand. Write it again after an update."""


def work(argv: Sequence[str]) -> int:
    """Prints the script of one shell."""
    from data.config import presets
    from lensjax.cli import verbs

    parser = argparse.ArgumentParser(
        prog="lensjax completion",
        description=command.summary,
        epilog=WHERE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=[*SHELLS], help="the shell that reads the script")
    asked = parser.parse_args(argv)
    found = {name: words_of(name, verb) for name, verb in verbs().items()}
    print(SHELLS[asked.shell](found, presets()), end="")
    return 0


command: Verb[None] = Verb(
    name="completion",
    summary="Prints a script with which the Tab key of a shell completes lensjax.",
    work="data.completion:work",
)
