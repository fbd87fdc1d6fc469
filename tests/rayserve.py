"""What tests need of Ray Serve, imported past the deprecations in its own code."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from ray.serve.schema import ServeDeploySchema

    from serve.deployment import DEPLOYMENT, from_environment

__all__ = ["DEPLOYMENT", "ServeDeploySchema", "from_environment"]
