"""Who is told of a rollout: receivers in a ModelDeployment, and those of a whole cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from canarium.api.nulls import drop_nulls
from canarium.api.problems import explain
from canarium.api.rules import Model, find_problems, matching
from canarium.api.scalars import DnsLabel, Subdomain
from canarium.core.receivers import MAX_TEXT, NOTICES, PLACEHOLDERS, Channel, Notice, Receiver
from canarium.errors import Problem, SpecError

NoticeText = Annotated[
    str,
    Field(min_length=1, max_length=MAX_TEXT),
    matching(
        r"([^{]|\{[^{]|\{\{(" + "|".join(PLACEHOLDERS) + r")\}\})*\{?",
        "between {{ and }} write one of " + ", ".join(PLACEHOLDERS),
    ),
]
Notices = Annotated[list[Notice], Field(min_length=1, max_length=len(NOTICES))]


class AddressRef(Model):
    """Where the address is: a Secret of the ModelDeployment's own namespace.

    The operator must be allowed to get it, by a Role of yours. Beside the address it may hold
    token, or username and password; and ca.crt for an authority of one's own.
    """

    name: Subdomain
    "Name of the Secret."
    key: (
        Annotated[
            str,
            Field(max_length=253),
            matching("[-._a-zA-Z0-9]+", "write a key of a Secret, such as url"),
        ]
        | None
    ) = None
    "The key that holds the address; url when left out."


class Notification(Model):
    """One place that is told how rollouts go."""

    name: DnsLabel
    "Its name, for messages about it."
    type: Channel
    """Webhook: CloudEvents 1.0 as JSON. Slack: an incoming webhook. Teams: a card, for a Workflows
    webhook."""
    secret_ref: AddressRef
    "Where its address is."
    events: Notices | None = None
    "What it is told of; everything when left out."
    text: NoticeText | None = None
    """The text, with {{message}} and other placeholders, which are replaced and nothing more;
    "{{namespace}}/{{name}}: {{message}}" when left out."""


class ClusterNotification(Model):
    """One place that is told how all rollouts go; an entry of the operator's own file."""

    type: Channel
    address_file: Annotated[str, Field(min_length=1, max_length=4096)]
    events: Notices | None = None
    text: NoticeText | None = None


def make_receiver(notification: Notification) -> Receiver:
    """A receiver as the core knows it."""
    reference, chosen = notification.secret_ref, _choose(notification)
    if reference.key is not None:
        chosen["key"] = reference.key
    return Receiver(notification.name, notification.type, reference.name, **chosen)


def parse_receivers(written: Any) -> tuple[Receiver, ...]:
    """Read the operator's own file: a mapping of names to receivers.

    Raises SpecError with every problem that was found, each with its field and a cure.
    """
    if written is None:
        return ()
    if not isinstance(written, Mapping):
        raise SpecError(Problem("", "write a mapping of names to receivers"))
    problems: list[Problem] = []
    found = [_parse_receiver(str(name), raw, problems) for name, raw in written.items()]
    if problems:
        raise SpecError(*problems)
    return tuple(receiver for receiver in found if receiver is not None)


def _parse_receiver(name: str, raw: Any, problems: list[Problem]) -> Receiver | None:
    try:
        parsed = ClusterNotification.model_validate(drop_nulls(raw))
    except ValidationError as error:
        problems += explain(error, name, ClusterNotification)
        return None
    problems += find_problems(parsed, name)
    return Receiver(name, parsed.type, address_file=parsed.address_file, **_choose(parsed))


def _choose(notification: Notification | ClusterNotification) -> dict[str, Any]:
    """What was written of what may be left out; each news at most once."""
    wanted = notification.events
    events = {"events": tuple(dict.fromkeys(wanted))} if wanted is not None else {}
    return events | ({"text": notification.text} if notification.text is not None else {})
