"""Off-policy estimates beside those of the Open Bandit Pipeline, on the same logs."""
