"""Where to look once the service runs: the console, the dashboard and how to log in to it."""

import asyncio
import os

from serve.cluster import service_url
from serve.plan import Plan
from serve.rayenv import dashboard_token
from serve.settings import Settings
from storage import client, logins


def greeting(settings: Settings, plan: Plan) -> str:
    """Return what to tell who started the service. The login link in it is good once."""
    url = service_url(settings)
    lines = [f"console    {url}/console", f"API docs   {url}/docs"]
    dashboard = f"http://127.0.0.1:{settings.dashboard_port}"
    if settings.ray_address is None and dashboard_token(settings) is None:
        lines += [f"dashboard  {dashboard}"]
    elif settings.ray_address is None:
        lines += [
            f"dashboard  {url}/console/login?once={asyncio.run(_code(plan.redis_url))}",
            f"           logs in to {dashboard}, once, within {logins.LIFE_S // 60} minutes;",
            f"           after that the dashboard asks for its token{_place()}",
        ]
    return "\n".join(lines)


def _place() -> str:
    file = os.environ.get("RAY_AUTH_TOKEN_PATH")
    return "" if file is None or "RAY_AUTH_TOKEN" in os.environ else f": paste the content of {file}"


async def _code(redis_url: str) -> str:
    async with client.writer(redis_url) as redis:
        return await logins.issue(redis)
