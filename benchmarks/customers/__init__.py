"""What customers cost: the memory of what the commits count for each."""
