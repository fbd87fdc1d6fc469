"""Gauges and counters as they were last set, in the place of Ray's."""

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Figures:
    """Makes gauges and counters, and remembers what was told to them, by name and tags."""

    values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)
    counters: set[str] = field(default_factory=set)

    def Gauge(self, name: str, description: str, tag_keys: tuple[str, ...]) -> "Figure":  # noqa: N802
        assert description
        return Figure(self, name, tag_keys)

    def Counter(self, name: str, description: str, tag_keys: tuple[str, ...]) -> "Figure":  # noqa: N802
        self.counters.add(name)
        return self.Gauge(name, description, tag_keys)

    @property
    def last(self) -> dict[tuple[str, str], float]:
        """The values by name and offer, or learner where there is no offer."""
        return {
            (name, dict(tags).get("offer", dict(tags)["learner"])): v for (name, tags), v in self.values.items()
        }

    def as_exported(self) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
        """Yield names and tags as Ray exports them: counters end in `_total`."""
        for name, tags in self.values:
            yield f"{name}_total" if name in self.counters else name, tags


@dataclass
class Figure:
    owner: Figures
    name: str
    keys: tuple[str, ...]

    def set(self, value: float, tags: dict[str, str]) -> None:
        assert tuple(tags) == self.keys
        self.owner.values[self.name, tuple(tags.items())] = value

    def inc(self, value: float, tags: dict[str, str]) -> None:
        assert value > 0
        self.set(self.owner.values.get((self.name, tuple(tags.items())), 0) + value, tags)
