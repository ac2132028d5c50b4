"""Prior distributions of lens scenes: any components, described in YAML, drawn by key.

    prior = priors("raw_notes")                          # a preset, or a YAML file of yours
    scenes = prior.sample(key, 1024, theta_e=1.5)        # a Scene whose leaves have an axis of 1024

A prior names the components of a scene and how each of their parameters is distributed:

    lens:
      EPL: {theta_e: {uniform: [0.5, 3]}, slope: {normal: [2.0, 0.1]}, q: ..., phi: ..., x: ..., y:
      ...}
      Shear: {gamma1: {normal: [0, 0.05]}, gamma2: {normal: [0, 0.05]}}
    source:
      Sersic: {r_mag: {uniform: [23, 26]}, g_r: ..., r_z: ..., beta: {area: [0.1, 1]}, beta_phi:
      ...,
               r_eff: ..., n: ..., q: ..., phi: ...}

Any component of `lensjax.mass` and `lensjax.light` may stand there, and `module:Class` of one's
own. A light's flux is drawn as one magnitude (`r_mag`) and colours (`g_r` = g - r); bands that are
not named are interpolated (`Prior.for_bands`). A source lies at x, y, or `beta` Einstein radii from
the centre of the first lens in the direction `beta_phi`. Other components lie at the centre of the
first lens unless x and y are given.

Drawn parameters have flat names: those of their fields, but q, phi, x and y carry their block
(`lens_q`, `source_phi`), everything of `lens_light` carries `light_`, and where a name is taken the
number of the component is added (`lens2_theta_e`).

A `Prior` is a pytree whose leaves are the numbers of the registry, and every draw is a smooth
function of them and of uniform noise, so gradients with respect to the assumptions flow through
`sample`. A parameter's draws depend on the key and its name only.
"""

from lensjax.prior.distribution import Distribution as Distribution
from lensjax.prior.drawing import Prior as Prior
from lensjax.prior.drawing import lens_like_host as lens_like_host
from lensjax.prior.reading import prior_entries as prior_entries
from lensjax.prior.reading import prior_from as prior_from
from lensjax.prior.reading import priors as priors
from lensjax.prior.reading import read_distribution as read_distribution
from lensjax.prior.writing import replaced_entries as replaced_entries
