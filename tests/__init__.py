"""All tests. What they fold is compared with what services fold, so both compute by the same machine code."""

from learners import kernels

kernels.choose()
