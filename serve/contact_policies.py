"""Contact policies: when a customer is left alone. Rules on one side, what the customer has met on the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import Field, ValidationError, model_validator

from serve.catalog import Kind, Name, Status
from serve.contact_rules import RULES, Cooldown, OutcomeBased, Rule, RuleType, TimeWindow
from serve.errors import at, bad_request, from_validation
from serve.fields import Body, Id
from storage.config import Doc, Reference, TenantConfig, Write
from storage.contacts import Contact, Contacts

MAX_POLICIES: Final = 100
"""Every recommendation looks at all that are active."""


class PolicyScope(Body):
    """What a policy counts, and what it holds back."""

    scope: Literal["global", "offer", "category", "channel", "creative"]
    scope_id: Id | None = None

    @model_validator(mode="after")
    def _named(self) -> "PolicyScope":
        if (self.scope == "global") != (self.scope_id is None):
            raise ValueError("must have a scopeId unless its scope is global, and only then")
        return self


class ContactPolicy(Body):
    """When a customer is left alone."""

    name: Name
    rule_type: RuleType
    config: Annotated[dict[str, Any], Field(max_length=10)]
    scopes: Annotated[list[PolicyScope], Field(min_length=1, max_length=100)] = [PolicyScope(scope="global")]
    status: Status = "active"
    priority: Annotated[int, Field(ge=0, le=1000)] = 50


CONTACT_POLICY: Final = Kind("contactPolicy", "contact-policies", ContactPolicy, {})


class Place(NamedTuple):
    """What a scope names; `id` is empty for the global one."""

    scope: str
    id: str

    def covers(self, contact: Contact, categories: Mapping[str, str | None]) -> bool:
        """Whether a contact counts here; categories are the catalogue's, by offer."""
        ids = {
            "global": "",
            "offer": contact.offer_id,
            "creative": contact.creative_id,
            "channel": contact.channel_id,
            "category": categories.get(contact.offer_id),
        }
        return ids[self.scope] == self.id


@dataclass(frozen=True, slots=True)
class Policy:
    """An active policy."""

    id: str
    name: str
    rule_type: RuleType
    rule: Rule
    places: Sequence[Place]


@dataclass(frozen=True, slots=True)
class Suppression:
    """A customer is not shown what `place` names until `until_ms`."""

    policy: Policy
    place: Place
    until_ms: int

    @property
    def reason(self) -> Literal["suppressed", "contactPolicy"]:
        """What `debug` calls it: an answer or a delivery silences a customer, limits and hours hold back."""
        return "suppressed" if isinstance(self.policy.rule, OutcomeBased | Cooldown) else "contactPolicy"

    @property
    def field(self) -> str:
        """What the place is called by `serve.candidates`."""
        return f"{self.place.scope}:{self.place.id}"


def checked(write: Write, config: TenantConfig) -> Write:
    """Return the write of a policy that follows the rules of its type, with references to its scopes.

    Raises:
        ApiError: 400, `config` breaks a rule of the type or names an unknown outcome; there are too many.
    """
    doc = write.doc
    others = [item for item in config.of_kind(CONTACT_POLICY.name).values() if item.live]
    if write.expected is None and len(others) >= MAX_POLICIES:
        raise bad_request("name", f"is one more than the {MAX_POLICIES} policies that a tenant may have")
    rule = _rule(doc)
    if isinstance(rule, OutcomeBased):
        known = {item.doc["key"] for item in config.of_kind("outcomeType").values() if item.live}
        unknown = [key for key in rule.after_outcome if key not in known]
        if unknown:
            raise bad_request("config.afterOutcome", f"names {unknown[0]!r}, which is no outcome type")
    references = [
        Reference(f"scopes.{n}.scopeId", scope["scope"], scope["scopeId"])
        for n, scope in enumerate(doc["scopes"])
        if scope["scope"] != "global"
    ]
    given = rule.model_dump(by_alias=True, exclude_none=True)
    return replace(write, doc={**doc, "config": given}, references=references)


def _rule(doc: Doc) -> Rule:
    given = {name: value for name, value in doc["config"].items() if value is not None}
    model = RULES[doc["ruleType"]]
    known = {field.alias for field in model.model_fields.values()}
    for name in given:
        if name not in known:
            raise bad_request(f"config.{name}", f"is no setting of {doc['ruleType']}")
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise at("config", from_validation(error.errors(include_url=False))) from None


def active(config: TenantConfig) -> list[Policy]:
    """Return the policies that recommendations obey, the most important first: by priority, then by age."""
    docs = [item.doc for item in config.of_kind(CONTACT_POLICY.name).values() if item.live]
    docs = sorted(docs, key=lambda doc: (-doc["priority"], doc["createdAt"], doc["id"]))
    return [_policy(doc) for doc in docs if doc["status"] == "active"]


def _policy(doc: Doc) -> Policy:
    places = [Place(one["scope"], one["scopeId"] or "") for one in doc["scopes"]]
    return Policy(doc["id"], doc["name"], doc["ruleType"], _rule(doc), places)


def look_back(policies: Sequence[Policy]) -> bool:
    """Whether any of the policies asks what the customer has met."""
    return any(not isinstance(policy.rule, TimeWindow) for policy in policies)


def held_back(
    policies: Sequence[Policy], contacts: Contacts, categories: Mapping[str, str | None], now_ms: int
) -> list[Suppression]:
    """Return what a customer must not be shown now, in the order of the policies.

    Args:
        policies: The active ones.
        contacts: What the customer has met.
        categories: The category of each offer.
        now_ms: The time, ms since 1970.
    """
    found = []
    for policy in policies:
        for place in policy.places:
            met = [one for one in contacts.met if place.covers(one, categories)]
            until_ms = max(policy.rule.ends_ms(met, now_ms), default=0)
            if until_ms > now_ms:
                found.append(Suppression(policy, place, until_ms))
    return found
