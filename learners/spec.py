"""Model SPECs: a model type with its configuration in one word of a command line, and sweeps over several.

`lin_ts:explore=0.3,halfLife.events=5000` is one model; `lin_ts:explore=[0.1,0.3,1]` is three.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import msgspec
import yaml

from learners.errors import ConfigError
from learners.models import make_config

MAX_SWEEP: Final = 1_000
"""Models one SPEC may stand for: more is a slip of the pen."""

_OPENING: Final = "[{("
_CLOSING: Final = "]})"


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model. `text` is how it is written, with the value of each swept setting put in."""

    text: str
    model_type: str
    config: dict[str, Any]


def parse_spec(text: str) -> list[ModelSpec]:
    """Return the models that a SPEC stands for: `TYPE` or `TYPE:key=value,…`.

    A value is YAML's flow style: a number, a word, `{events: 100}`. A dot in a key goes into an object. A list is a
    sweep over its items; a setting that is itself a list is written as a list of one list.

    >>> [spec.text for spec in parse_spec("lin_ts:explore=[0.1,0.3],seed=7")]
    ['lin_ts:explore=0.1,seed=7', 'lin_ts:explore=0.3,seed=7']
    >>> parse_spec("thompson_bandit:halfLife.events=500")[0].config
    {'halfLife': {'events': 500}}

    Raises:
        ConfigError: there is no such type, or a setting breaks a rule; the message names it.
    """
    model_type, settings = parse_settings(text)
    choices = [value if isinstance(value, list) else [value] for _, value in settings]
    keys = [key for key, _ in settings]
    specs = [_spec(model_type, dict(zip(keys, values, strict=True))) for values in _within(text, choices)]
    for spec in specs:
        try:
            make_config(spec.model_type, spec.config)
        except ConfigError as error:
            raise ConfigError(f"{spec.text}: {error}") from None
    return specs


def parse_settings(text: str) -> tuple[str, list[tuple[str, Any]]]:
    """Return the name and the settings of `NAME` or `NAME:key=value,…`, as they stand there.

    >>> parse_settings("dros:lambda=10")
    ('dros', [('lambda', 10)])

    Raises:
        ConfigError: a part is not key=value, or the value is not YAML.
    """
    name, _, rest = text.partition(":")
    return name, [_setting(text, part) for part in _parts(rest)] if rest else []


def _within(text: str, choices: list[list[Any]]) -> Iterator[tuple[Any, ...]]:
    size = 1
    for values in choices:
        size *= len(values)
    if not 0 < size <= MAX_SWEEP:
        raise ConfigError(f"{text}: stands for {size} models, must be 1 to {MAX_SWEEP}")
    return product(*choices)


def _setting(text: str, part: str) -> tuple[str, Any]:
    key, equals, value = part.partition("=")
    if not key.strip() or not equals:
        raise ConfigError(f"{text}: {part!r} must be key=value")
    try:
        return key.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"{text}: {key}: {' '.join(str(error).split())}") from None


def _parts(text: str) -> Iterator[str]:
    """Yield what stands between the commas that are in no bracket."""
    depth, start = 0, 0
    for place, char in enumerate(text):
        depth += (char in _OPENING) - (char in _CLOSING)
        if char == "," and depth == 0:
            yield text[start:place]
            start = place + 1
    yield text[start:]


def _spec(model_type: str, settings: dict[str, Any]) -> ModelSpec:
    config: dict[str, Any] = {}
    for key, value in settings.items():
        *outer, last = key.split(".")
        inner = config
        for name in outer:
            inner = inner.setdefault(name, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"{model_type}: {key}: {name} is given twice")
        inner[last] = value
    shown = ",".join(f"{key}={_shown(value)}" for key, value in settings.items())
    return ModelSpec(f"{model_type}:{shown}" if shown else model_type, model_type, config)


def _shown(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
