"""What Vowpal Wabbit's JSON says about a context or an action: scalars by name, and the id of an offer.

Names that begin with an underscore are no features, as for Vowpal Wabbit, which keeps them for itself and skips
those that it does not know; `_text` alone holds features, its words.
"""

import hashlib
import math
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from storage.entry import Scalar
from storage.lines import INTEGERS

_DIGEST_BYTES: Final = 6
"""48 bits: among a million different actions two share a digest with a probability of 0.2 %."""


def flatten(given: dict[str, Any]) -> dict[str, Scalar]:
    """Return the scalars of nested namespaces, each named by its path.

    An object within an object adds its name and a dot; objects in a list have the list's name alone; the numbers
    of a list are `list[0]`, `list[1]` …, its texts `list.text`, true. The words of `_text` are `namespace.word`,
    true. Null is left out. What has a name that was given before is `name#2`, `name#3` …

    >>> flatten({"hour": 9, "user": [{"age": 38}, {"geo": {"city": "Ulm"}}], "_id": "x", "tags": ["new", "hot"]})
    {'hour': 9, 'user.age': 38, 'user.geo.city': 'Ulm', 'tags.new': True, 'tags.hot': True}

    Raises:
        ValueError: A number is not finite, or an integer of more than 64 bits.
    """
    features: dict[str, Scalar] = {}
    for name, value in _members("", given):
        free, copies = name, 1
        while free in features:
            copies += 1
            free = f"{name}#{copies}"
        features[free] = value
    return features


def _members(prefix: str, given: dict[str, Any]) -> Iterator[tuple[str, Scalar]]:
    for key, value in given.items():
        if key == "_text" and isinstance(value, str):
            yield from ((prefix + word, True) for word in value.split())
        elif not key.startswith("_"):
            yield from _named(prefix + key, value)


def _named(name: str, value: Any) -> Iterator[tuple[str, Scalar]]:
    if isinstance(value, dict):
        yield from _members(f"{name}.", value)
    elif isinstance(value, list):
        for place, element in enumerate(value):
            if isinstance(element, str):
                yield f"{name}.{element}", True
            else:
                yield from _named(name if isinstance(element, dict) else f"{name}[{place}]", element)
    elif value is not None:
        yield name, _checked(name, value)


def _checked(name: str, value: Scalar) -> Scalar:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} is {value}, the log holds finite numbers only")
    if isinstance(value, int) and value not in INTEGERS:
        raise ValueError(f"{name} is an integer of more than 64 bits")
    return value


def offer_id(action: dict[str, Any]) -> str:
    """Return the name of an action: its `id`, else its `_tag`, else its `i.id`, else `vw-` and a digest.

    The digest is of the action's features, in whatever order they stand, without names that begin with an
    underscore: the same features are the same offer, wherever the action stands in its list.

    >>> offer_id({"_tag": "latte", "i": {"id": "Latte"}}), offer_id({"topic": "sports"})
    ('latte', 'vw-28e85a0e3e4e')
    """
    inner = action.get("i")
    for name in (action.get("id"), action.get("_tag"), inner.get("id") if isinstance(inner, dict) else None):
        if name not in (None, "") and isinstance(name, (str, int)):
            return str(name)
    own = {key: value for key, value in action.items() if not key.startswith("_") or key == "_text"}
    text = msgspec.json.encode(own, order="deterministic")
    return f"vw-{hashlib.blake2b(text, digest_size=_DIGEST_BYTES).hexdigest()}"
