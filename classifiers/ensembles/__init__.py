"""Several finders on the same objects: combined, compared with plain averaging, and used.

folds       objects into folds by group, so that nothing leaks
stacking    the meta-learner, its out-of-fold scores, and the average that it has to beat
diversity   how much the members differ: correlation, disagreement, spread as uncertainty
trees       boosted trees out of fold, which channels and shortcuts are judged by
selective   risk against coverage where a finder may abstain
discovery   what the ensemble finds and its members miss, and the yield at a budget
cleaning    negatives that look like lenses, and a manifest without them
combining   all of it as tables
plots       the tables drawn
members     named members from one configuration, and the lenses each is trained without
ablation    what the lenses of a kind taught
members_verb  trains the members of a configuration and judges them
verb        the verb `ensemble`
"""
