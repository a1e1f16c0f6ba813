"""What runs on a Dask worker."""
