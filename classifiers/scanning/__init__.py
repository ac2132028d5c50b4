"""Scanning a survey: scores of millions of cutouts, and the list of candidates that follows.

settings     what a scan is asked
stamps       what every source of stamps gives: parts, and the rows of a part
fromshards   stamps out of TFRecord shards
fromfolder   stamps out of a folder of cutouts
frombricks   stamps cut out of coadds in memory, at the positions of a catalogue
catalogued   which objects of a catalogue are scanned, brick by brick
sources      which of these the settings name
readahead    a thread that reads while the finders score
scoring      the work on one part: its rows become one file of scores
progress     rate and time left
ranking      the best rows of any number of parts
scan_verb    the verb `scan`

candidate_settings, candidates_verb    the verb `candidates`
listing      the table of candidates, column by column
probability  calibrated probabilities of the finders' scores
conditions   the completeness expected under an object's conditions
formats      the table as CSV, ECSV, FITS, VOTable and DS9 regions

How it is done, and why. Zoobot's large predictions go over a catalogue in snippets of some ten
thousand galaxies with a file each, which are joined in memory at the end; Lightning's writer has a
choice of a file for every batch, or of everything in memory until the end. Here a part is a few
thousand rows, in the order of the input; it is a file that is whole or absent (`data.jobs`), so
that a scan that was killed does only the missing parts again and ends with the same bytes; and
nothing is joined: the ranking streams over the parts and keeps no more than it lists. A row that
cannot be scored is in its part too, with the reason in the column `refused`, so that there are as
many rows in the output as in the input. Reading, checking and cutting happen in one thread ahead of
the network; on more machines, parts are given to workers (`scan_verb.scan` takes a mapper of
`data.jobs`, such as `spark.jobs.distributed`).
"""

from __future__ import annotations

from classifiers.scanning.candidate_settings import CandidateSettings
from classifiers.scanning.settings import ScanSettings
from data.verb import Verb

__all__ = ["CandidateSettings", "ScanSettings", "candidates", "scan"]

scan = Verb(
    name="scan",
    summary="Scores the cutouts of shards, a folder or coadds with one or several finders.",
    settings=ScanSettings,
    after=("simulate", "survey", "train"),
    # It owns scan/, and empties it itself: some settings change what is ranked, not what is scored.
    reads="classifiers.scanning.scan_verb:reads",
    work="classifiers.scanning.scan_verb:work",
    description=ScanSettings.__doc__ or "",
    optional=True,
)

candidates = Verb(
    name="candidates",
    summary="Ranks what a scan has scored: probability, known lenses, completeness, links.",
    settings=CandidateSettings,
    after=("evaluate", "audit", "scan"),
    owns=("candidates",),
    reads="classifiers.scanning.candidates_verb:reads",
    work="classifiers.scanning.candidates_verb:work",
    description=CandidateSettings.__doc__ or "",
    optional=True,
)
