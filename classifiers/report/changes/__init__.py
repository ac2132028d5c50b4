"""What changed from one run to another, on a page like the report's.

- pair: the two runs, and what of either is compared
- population: what has to be alike for two completenesses to be of one thing
- completeness: by axis, of both, with the difference and its interval
- evaluations: figures of merit of both, with the difference and its interval
- settings: settings, conditions and inputs that differ
- verdicts: what either run says of itself
- figures, sections: the page; verb: the command line
"""
