"""DataComp's evaluation."""
