"""The steps over a whole survey as Spark jobs: local mode on a laptop, spark-submit on a
cluster."""

from lensjax.siblings import own

own("data")
