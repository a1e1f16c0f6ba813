"""The writer's side: opening, migrations, statements, and the connection that handlers see."""
