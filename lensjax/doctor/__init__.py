"""What `lensjax doctor` finds out: whether this machine has what lensjax needs, what cannot be
done without what it lacks, and what will be slow on it and why.

A finding is a sentence, and one that is not good news names its cure. The modules here ask about
Python and its packages, the devices of JAX, the machine, the disk and programs of the system. The
rooms `data` and `spark` contribute theirs as entry points of the group `lensjax.doctor`: functions
without arguments that return findings. Nothing here needs more than the standard library, so that
an installation with parts missing can be examined too; JAX is imported where it is asked about.
"""

from lensjax.doctor.finding import Finding as Finding
from lensjax.doctor.verb import command as command
from lensjax.doctor.verb import examined as examined
