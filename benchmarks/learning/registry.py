"""Who takes part: each library with the packages its virtual environment holds.

Rewardloop's own models stand here too; they run in the project's own Python and need no environment.
"""

from __future__ import annotations

from dataclasses import dataclass

NUMPY = "numpy==2.4.6"
"""One version everywhere, so that all libraries meet the same draws; the digests of the draws are compared too."""


@dataclass(frozen=True, slots=True)
class Library:
    """A library and where its candidates stand.

    Attributes:
        name: As in the table, and the name of its virtual environment.
        module: Import path of the file with `CANDIDATES`.
        requirements: What pip installs for it; empty for libraries that run in the project's own Python.
        packages: Distributions whose versions the results tell.
        tuning_seeds: Environments on which settings are chosen, never those of the table. Slow libraries have one.
    """

    name: str
    module: str
    requirements: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    tuning_seeds: tuple[int, ...] = (100, 101)


def _peer(name: str, pin: str, *more: str, tuning_seeds: tuple[int, ...] = (100, 101)) -> Library:
    module = f"benchmarks.learning.candidates.{name}"
    return Library(name, module, (f"{name}=={pin}", NUMPY, *more), (name,), tuning_seeds)


LIBRARIES = [
    _peer("vowpalwabbit", "9.11.9"),
    _peer("river", "0.26.1"),
    _peer("mabwiser", "2.7.4"),
    _peer("contextualbandits", "0.3.30", "scikit-learn==1.9.1", tuning_seeds=(100,)),
    _peer("bayesianbandits", "1.5.0", "scikit-learn==1.9.1", tuning_seeds=(100,)),
    _peer("gittins", "2.0.1"),
    Library("rewardloop", "benchmarks.learning.candidates.rewardloop", packages=("rewardloop",)),
]
