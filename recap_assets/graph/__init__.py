"""What is out of date and why; free of Dagster."""
