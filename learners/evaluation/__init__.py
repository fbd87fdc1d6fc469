"""What a policy would have earned, told from the log of another."""
