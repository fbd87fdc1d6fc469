"""From a creative to what an outcome of it counts for."""

from storage.config import TenantConfig
from storage.entry import Resolution


def resolve(config: TenantConfig, creative_id: str) -> Resolution | None:
    """Return the creative's offer, channel, placement and category; None if there is no such creative.

    An offer or channel deleted after its creatives still gives its name: late outcomes count.
    """
    creative = config.get("creative", creative_id)
    if creative is None:
        return None
    offer = config.of_kind("offer")[creative.doc["offerId"]].doc
    channel = config.of_kind("channel")[creative.doc["channelId"]].doc
    category = config.of_kind("category").get(offer.get("categoryId") or "")
    return Resolution(
        offer_id=offer["id"],
        creative_id=creative_id,
        channel_id=channel["id"],
        placement_id=creative.doc.get("placementId"),
        category_id=offer.get("categoryId"),
        offer_name=offer["name"],
        creative_name=creative.doc["name"],
        channel_name=channel["name"],
        category_name=category.doc["name"] if category is not None else None,
    )
