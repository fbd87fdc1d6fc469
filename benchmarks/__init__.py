"""Measurements of Rewardloop that are too long for the tests; each folder has a command of its own."""

from learners import kernels

kernels.choose()
