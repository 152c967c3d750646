"""What a user declares, the columns and schemas: imports nothing else of ours."""
