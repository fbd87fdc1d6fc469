"""Redis as Rewardloop uses it: the commit, the ordered log, the configuration, the checkpoints."""
