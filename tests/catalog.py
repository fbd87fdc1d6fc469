"""The catalogue that tests work with."""

from typing import Any, Final

CATALOG: Final[dict[str, Any]] = {
    "categories": [{"id": "cat1", "name": "Cards"}],
    "channels": [
        {"id": "ch1", "name": "Web", "channelType": "web"},
        {"id": "ch2", "name": "Mail", "channelType": "email"},
    ],
    "placements": [{"id": "pl1", "name": "Hero", "channelId": "ch1"}],
    "offers": [{"id": "o1", "name": "Gold", "categoryId": "cat1"}, {"id": "o2", "name": "Silver"}],
    "creatives": [
        {"id": "cr1", "name": "Gold hero", "offerId": "o1", "channelId": "ch1", "placementId": "pl1"},
        {"id": "cr2", "name": "Silver mail", "offerId": "o2", "channelId": "ch2"},
    ],
}
