"""Secrets kept in files that only their owner can read."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from serve.settings import Settings


def secret_file(path: Path, make: Callable[[], str]) -> str:
    """Return the secret in `path`, made once, by whoever comes first."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(make())
        try:
            path.hardlink_to(fresh)  # whole or not at all, and never over a secret in use
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text(encoding="ascii").strip()


def pepper(settings: Settings) -> bytes:
    """Return the secret that API keys are sealed with, made once where no setting gives it."""
    if settings.pepper is not None:
        return settings.pepper.encode()
    return secret_file(settings.data_dir.resolve() / "pepper", lambda: secrets.token_hex(32)).encode()
