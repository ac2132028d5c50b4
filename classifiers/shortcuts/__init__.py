"""Does something simpler than arcs tell the lenses of a survey from its other stamps?

features    numbers that should say little, one by one, with flags
attribution integrated gradients of false positives and negatives
views       trees that see the core only, the annulus only, or the radial profile only
neighbours  stamps nearest to a stamp in the features of a network
networks    networks that saw one part of the stamps, beside the full one
verb        the verb `shortcuts`
"""
