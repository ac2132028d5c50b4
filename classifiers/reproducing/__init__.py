"""A run done again from its records, and compared with them.

- recorded: which steps a record or a run directory asks for
- inputs: whether everything that they read is still as it was, and the folder to do them again in
- conditions: in what two machines or installations differ
- files: outputs by their bytes
- figures: numbers with intervals, and by how much they moved
- outcome: whether it holds
"""

from data.verb import Verb

__all__ = ["command"]

command: Verb[None] = Verb(
    name="reproduce",
    summary="Does a finished run or step again from its record, and compares the results.",
    work="classifiers.reproducing.verb:work",
)
