"""A package with two pipelines: `pipeloom run etl.db examples/jobs/shop/extract.py examples/jobs/shop/report.py`."""
