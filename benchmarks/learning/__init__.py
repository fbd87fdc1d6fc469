"""Cumulative reward of contextual bandits, ours and others', on one simulated environment with known truth."""
