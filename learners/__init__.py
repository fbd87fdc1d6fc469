"""Folds over the outcome log: bandit models, the shards that hold them and the Ray actors that run them."""
