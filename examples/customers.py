"""Simulated customers of the quick start's shop: each is shown one offer, and buys it or not.

    python examples/customers.py [HOW_MANY] [SEED]

The key of tenant `shop` is in `KEY`. Young customers like trainers, old ones boots; nobody tells the service.
"""

import os
import random
import sys
import time
import uuid
from collections import Counter
from typing import Any

import httpx

URL = f"http://127.0.0.1:{os.environ.get('REWARDLOOP_PORT', '8000')}/api/v1"
LIKES = {
    "young": {"trainers": 0.4, "boots": 0.05, "umbrella": 0.15},
    "old": {"trainers": 0.05, "boots": 0.5, "umbrella": 0.15},
}
"""The probability that a customer of an age buys what is shown."""


def post(http: httpx.Client, path: str, body: dict[str, Any]) -> Any:
    """Return the answer; wait and send the same body again when the service is at its limit."""
    while (answer := http.post(path, json=body)).status_code in {429, 503}:
        time.sleep(int(answer.headers["Retry-After"]))
    return answer.raise_for_status().json()


def meet(http: httpx.Client, luck: random.Random) -> tuple[str, str, bool]:
    """Show one customer an offer and record what comes of it; return age, offer and whether it was bought."""
    age, customer = luck.choice(list(LIKES)), f"c-{uuid.uuid4()}"
    asked = {"customerId": customer, "channel": "Web", "limit": 1, "attributes": {"age": age}}
    shown = post(http, "/recommend", asked)
    offer = shown["decisions"][0]["offerId"]
    bought = luck.random() < LIKES[age][offer]
    told = {
        "customerId": customer,
        "recommendationId": shown["recommendationId"],
        "rank": 1,
        "outcome": "purchase" if bought else "ignored",
        "idempotencyKey": f"{shown['recommendationId']}:1",
    }
    post(http, "/respond", told)
    return age, offer, bought


def main() -> None:
    """Send the customers, then tell what they were shown and what they bought."""
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    luck = random.Random(sys.argv[2] if len(sys.argv) > 2 else None)  # noqa: S311 - customers are no secret
    headers = {"X-Tenant-Id": "shop", "Authorization": f"Bearer {os.environ['KEY']}"}
    with httpx.Client(base_url=URL, headers=headers, timeout=30) as http:
        met = [meet(http, luck) for _ in range(many)]
    shown = Counter((age, offer) for age, offer, _ in met)
    bought = Counter((age, offer) for age, offer, was_bought in met if was_bought)
    print("age    offer     shown  bought")
    for age, likes in LIKES.items():
        for offer in likes:
            print(f"{age:6} {offer:9} {shown[age, offer]:5} {bought[age, offer]:7}")
    print(f"all              {many:5} {bought.total():7}")


if __name__ == "__main__":
    main()
