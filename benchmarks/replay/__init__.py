"""Replay of long logs: rate and peak memory."""
