"""Flax lens finders, their training and evaluation, and the audit of any finder."""

from lensjax.siblings import own

own("data")
