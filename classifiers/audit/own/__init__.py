"""An audit of somebody's finder on somebody's cutouts, in one command.

    lensjax audit --finder my_finder:score --cutouts FOLDER --table TABLE

- arguments: what is said on the command line
- missing: what is not said, each with the way to say it
- reading: table, files and definition, as far as they are known
- finding: the finder, tried on a few of the cutouts
- plan: the configuration of the run, and the same in words
- command: asks, or composes the steps survey, evaluate, audit and report (`classifiers.chain`)
"""
