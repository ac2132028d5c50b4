"""Searches compared: which lenses each of them found, and what that says about the searches.

lists       lens lists of any search, as channels
merging     entries of several lists that are one object, by position
overlap     what channels share: Jaccard, shares, chance, combinations
chosen      P(selected | features) of each channel, by gradient-boosted trees
apart       a classifier that tells two channels' objects apart: how different they are
comparing   all of it as tables
plots       the tables drawn, among them the UpSet plot
verb        the verb `channels`
"""
