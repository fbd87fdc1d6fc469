"""Ray's dashboard as the console knows it: where it is, and who has logged in to it."""

import hmac
from dataclasses import dataclass, field
from typing import Final

COOKIE: Final = "ray-authentication-token"
"""Ray's own cookie. Cookies know no ports, so the browser shows it to the console on the same host, too."""
COOKIE_LIFE_S: Final = 30 * 86_400
"""As long as Ray gives it."""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """The dashboard of the local Ray, always on loopback; `token` opens it, None if it has none.

    Warning: Ray's token is more than a password for pages: whoever has it can run code on the cluster.
    """

    port: int
    token: str | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """The page of the dashboard that shows the console."""
        return f"http://127.0.0.1:{self.port}/#/metrics"

    @property
    def origins(self) -> str:
        """What may put the console into a frame, for a Content-Security-Policy."""
        return f"http://127.0.0.1:{self.port} http://localhost:{self.port}"

    def admits(self, cookie: str | None) -> bool:
        """Return whether a cookie is that of somebody who has logged in, in constant time."""
        if self.token is None or cookie is None:
            return False
        return hmac.compare_digest(cookie.encode(), self.token.encode())
