"""The pictures of docs/models.md, drawn from runs of the real models in simulated environments with fixed seeds."""
