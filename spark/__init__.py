"""The steps over a whole survey as Spark jobs: local on a laptop, by spark-submit on a cluster."""

from lensjax.siblings import own

own("data")
