"""What both pipelines know of the table."""

ORDERS = {"id": int, "customer": str, "total": float}
