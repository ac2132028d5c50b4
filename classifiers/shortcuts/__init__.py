"""Does something simpler than arcs tell the lenses of a survey from its other stamps?

features    numbers that should say little, one by one, with flags
attribution integrated gradients of false positives and negatives
views       trees that see the core only, the annulus only, or the radial profile only
verb        the verb `shortcuts`
"""
