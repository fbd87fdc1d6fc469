"""What a replica holds of a tenant's champion: an immutable copy, good for ranking without asking anybody."""

import json
from functools import cached_property
from typing import Any

import msgspec

from learners.models import make_model
from learners.policy import Policy


class Snapshot(msgspec.Struct, frozen=True, dict=True):
    """A model with its state, as a learner publishes it. `config` is a JSON text, `samples` the rewards learned."""

    model_id: str
    key: str
    model_type: str
    config: str
    samples: int
    state: dict[str, Any]

    @cached_property
    def policy(self) -> Policy:
        """How it ranks."""
        config = json.loads(self.config)
        model = make_model(self.model_type, config)
        model.restore(self.state)
        return Policy(model, config.get("seed", 0), self.samples)


_decoder = msgspec.msgpack.Decoder(Snapshot)


def pack_snapshot(snapshot: Snapshot) -> bytes:
    """Return the snapshot as bytes."""
    return msgspec.msgpack.encode(snapshot)


def unpack_snapshot(raw: bytes) -> Snapshot:
    """Return the snapshot that `raw` holds."""
    return _decoder.decode(raw)
