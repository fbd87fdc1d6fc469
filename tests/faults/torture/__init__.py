"""Torture: faults drawn by a seed under mixed load, and a check of what callers saw against what the log holds."""
