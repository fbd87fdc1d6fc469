"""How fast the service, its models and its logs are, side by side with others."""
