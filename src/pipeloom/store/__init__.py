"""All SQL: the schema, the writer's side (`connect`, `ledger`) and the readers' side (`history`)."""
