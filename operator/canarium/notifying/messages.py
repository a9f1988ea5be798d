"""What is sent to whom wants to be told of a rollout: CloudEvents, Slack's blocks, Teams' cards.

Texts have placeholders, which are replaced and nothing more: nothing is evaluated, and what
somebody else has written cannot become markup of a chat's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from canarium.core.names import API_VERSION, child_name
from canarium.core.observed import ModelObject
from canarium.core.plan import Event
from canarium.core.receivers import PLACEHOLDERS, Channel, Notice, Receiver
from canarium.core.status import RevisionStatus, format_time

MAX_FILLED = 2900
"Slack takes 3,000 characters in a section."
_PLACEHOLDER = re.compile(r"\{\{(" + "|".join(PLACEHOLDERS) + r")\}\}")
_TITLES: dict[Notice, str] = {
    "Started": "rollout started",
    "Promoted": "promoted",
    "RolledBack": "rolled back",
    "Waiting": "waiting for a person",
    "Canceled": "rollout canceled",
    "Failed": "failed",
}
_COLOURS: dict[Notice, str] = {
    "Promoted": "Good",
    "RolledBack": "Attention",
    "Waiting": "Warning",
    "Failed": "Attention",
}


@dataclass(frozen=True, slots=True)
class News:
    """One thing that happened to an object, `at` in epoch seconds.

    `id` is the same for the same decision, however often it is sent, so that receivers can tell.
    """

    id: str
    notice: Notice
    at: float
    uid: str
    phase: str
    values: Mapping[str, str]
    "Of each placeholder, what it stands for."


@dataclass(frozen=True, slots=True)
class Message:
    """The body of a request, and its media type."""

    content_type: str
    body: bytes


def make_news(model: ModelObject, event: Event, notice: Notice, now: float) -> News:
    """What an event is to those who are notified; the object is as it was decided."""
    meta, status = model.meta, model.status
    rollout = status.rollout
    values = {
        "namespace": meta.namespace,
        "name": meta.name,
        "model": model.spec.model_name if model.spec else meta.name,
        "version": event.version,
        "revision": event.revision,
        "event": notice,
        "reason": event.reason,
        "message": event.message,
        "step": rollout.step_name if rollout else "",
        "stable": _name(status.stable),
        "url": status.url,
    }
    return News(_make_id(model, event, notice), notice, now, meta.uid, status.phase or "", values)


def make_message(receiver: Receiver, news: News) -> Message:
    """The request's body for a receiver."""
    return _MAKERS[receiver.channel](receiver, news)


def fill(text: str, values: Mapping[str, str], escape: Callable[[str], str] = str) -> str:
    """Replace the placeholders of a text; what they stand for is not looked at again."""
    filled = _PLACEHOLDER.sub(lambda found: escape(values[found[1]]), text)
    return filled if len(filled) <= MAX_FILLED else f"{filled[: MAX_FILLED - 1]}…"


def _make_id(model: ModelObject, event: Event, notice: Notice) -> str:
    """A digest of the decision as status has it."""
    rollout = model.status.rollout
    decided = (rollout.step, rollout.progress_at) if rollout else ()
    about = (notice, event.revision, event.reason, *decided, model.meta.generation)
    return sha256(json.dumps([model.meta.uid, *about]).encode()).hexdigest()[:32]


def _name(part: RevisionStatus | None) -> str:
    return (part.version or part.revision) if part else ""


def _make_cloud_event(receiver: Receiver, news: News) -> Message:
    """CloudEvents 1.0 in structured mode (HTTP protocol binding, JSON format)."""
    values, group = news.values, f"/apis/{API_VERSION}"
    name, revision = values["name"], values["revision"]
    content = {
        "specversion": "1.0",
        "id": news.id,
        "source": f"{group}/namespaces/{values['namespace']}/modeldeployments/{name}",
        "type": f"dev.canarium.rollout.{news.notice.lower()}.v1",
        **({"subject": child_name(name, revision)} if revision else {}),
        "time": format_time(news.at),
        "datacontenttype": "application/json",
        "data": {
            **values,
            "uid": news.uid,
            "phase": news.phase,
            "text": fill(receiver.text, values),
        },
    }
    return _encode("application/cloudevents+json", content)


def _make_slack(receiver: Receiver, news: News) -> Message:
    """Slack's incoming webhooks: blocks, and a text for where blocks aren't shown."""
    text = fill(receiver.text, news.values, _escape_slack)
    facts = " · ".join(f"{name} *{_escape_slack(value)}*" for name, value in _list_facts(news))
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": _title(news), "emoji": False}},
        {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}},
        {
            "type": "context",
            "elements": [{"type": "mrkdwn", "text": facts, "verbatim": True}],
        },
    ]
    return _encode("application/json", {"text": text, "blocks": blocks})


def _make_teams(receiver: Receiver, news: News) -> Message:
    """An Adaptive Card for a Workflows webhook of Microsoft Teams.

    The text is a TextRun, in which Markdown means nothing.
    """
    run = {"type": "TextRun", "text": fill(receiver.text, news.values)}
    colour = _COLOURS.get(news.notice, "Default")
    title = {"type": "TextBlock", "text": _title(news), "weight": "Bolder", "size": "Medium"}
    facts = [{"title": name, "value": value} for name, value in _list_facts(news)]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            {**title, "wrap": True, "color": colour},
            {"type": "RichTextBlock", "inlines": [run]},
            {"type": "FactSet", "facts": facts},
        ],
    }
    kind = "application/vnd.microsoft.card.adaptive"
    attachment = {"contentType": kind, "contentUrl": None, "content": card}
    return _encode("application/json", {"type": "message", "attachments": [attachment]})


_MAKERS: dict[Channel, Callable[[Receiver, News], Message]] = {
    "Webhook": _make_cloud_event,
    "Slack": _make_slack,
    "Teams": _make_teams,
}


def _title(news: News) -> str:
    return f"{news.values['name']}: {_TITLES[news.notice]}"


def _list_facts(news: News) -> list[tuple[str, str]]:
    """Names and words that have no characters but those of names and labels."""
    names = ("namespace", "version", "revision", "stable", "step", "reason")
    return [(name, news.values[name]) for name in names if news.values[name]]


def _escape_slack(text: str) -> str:
    """Nothing of it can be a link, a mention or a channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _encode(content_type: str, content: Any) -> Message:
    return Message(content_type, json.dumps(content, ensure_ascii=False).encode())
