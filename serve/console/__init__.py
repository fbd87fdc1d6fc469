"""The console: pages that show what the models believe, by themselves and inside Ray's dashboard."""
