"""What is sent: whole bodies, and that nothing in them is anything but text."""

import json
import os
from pathlib import Path
from typing import Any, get_args

import pytest
from canarium.core.observed import Meta, ModelObject
from canarium.core.plan import Event
from canarium.core.receivers import PLACEHOLDERS, Channel, Receiver
from canarium.core.status import RevisionStatus, Rollout, Status
from canarium.notifying.messages import MAX_FILLED, fill, make_message, make_news

GOLDEN = Path(__file__).parents[2] / "golden" / "notifications"
NOW = 1_800_000_000.0
HOSTILE = "<!channel> <https://evil.example|click> [click](https://evil.example) & {{revision}}"
ROLLED_BACK = Event(
    "Warning", "ErrorRateTooHigh", "Rollback", "taking version 7 (7b9d6f5c88) back: 12 % of errors",
    "7b9d6f5c88", "7", "RolledBack",
)  # fmt: skip


def make_model(**rollout: Any) -> ModelObject:
    return ModelObject(
        Meta("risk", "fraud", "uid-of-fraud", "41", generation=3),
        None,
        status=Status(
            phase="Progressing",
            url="http://fraud.example.com",
            stable=RevisionStatus("5d8f7c9b64", "6"),
            rollout=Rollout(**{"step": 2, "step_name": "five", "progress_at": 12.0, **rollout}),
        ),
    )


def make_body(channel: Channel, message: str = "", text: str = "") -> dict[str, Any]:
    event = ROLLED_BACK if not message else Event("Normal", "R", "A", message, notice="Started")
    assert event.notice is not None
    news = make_news(make_model(), event, event.notice, NOW)
    receiver = Receiver("ops", channel, **({"text": text} if text else {}))  # type: ignore[arg-type]
    body: dict[str, Any] = json.loads(make_message(receiver, news).body)
    return body


@pytest.mark.parametrize("channel", get_args(Channel))
def test_each_kind_of_receiver_gets_its_kind_of_message(channel: Channel) -> None:
    file = GOLDEN / f"{channel.lower()}.json"
    text = json.dumps(make_body(channel), indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("CANARIUM_GOLDEN") == "write":
        file.write_text(text)
    assert text == file.read_text()


def test_the_same_decision_has_the_same_id_and_another_one_another() -> None:
    def find_id(model: ModelObject, event: Event = ROLLED_BACK, now: float = NOW) -> str:
        return make_news(model, event, "RolledBack", now).id

    again = Event(**{**_fields(ROLLED_BACK), "revision": "another"})
    known = find_id(make_model())
    assert find_id(make_model(), now=NOW + 60) == known
    others = {find_id(make_model(progress_at=13.0)), find_id(make_model(), again)}
    assert len({known, *others}) == 3


def _fields(event: Event) -> dict[str, Any]:
    return {name: getattr(event, name) for name in Event.__dataclass_fields__}


def test_a_text_has_its_placeholders_replaced_and_nothing_evaluated() -> None:
    values = {name: f"<{name}>" for name in PLACEHOLDERS} | {
        "message": "{{revision}} {0.__class__}"
    }
    text = "{{message}} %s {name} {{ name }} {{name.upper}} {{7*7}} ${name} {{event}}"
    want = "{{revision}} {0.__class__} %s {name} {{ name }} {{name.upper}} {{7*7}} ${name} <event>"
    assert fill(text, values) == want


def test_a_text_is_never_longer_than_a_chat_takes() -> None:
    values = dict.fromkeys(PLACEHOLDERS, "x" * 1024)
    assert len(fill("{{message}}" * 90, values)) == MAX_FILLED


def test_what_somebody_else_wrote_is_no_markup_for_slack() -> None:
    body = make_body("Slack", HOSTILE, "<!here> {{message}}")
    want = (
        "<!here> &lt;!channel&gt; &lt;https://evil.example|click&gt;"
        " [click](https://evil.example) &amp; {{revision}}"
    )
    section = body["blocks"][1]["text"]
    assert (body["text"], section) == (want, {"type": "mrkdwn", "text": want, "verbatim": True})


def test_what_somebody_else_wrote_is_no_markup_for_teams() -> None:
    card = make_body("Teams", HOSTILE, "{{message}}")["attachments"][0]["content"]
    run = {"type": "TextRun", "text": HOSTILE}
    assert card["body"][1] == {"type": "RichTextBlock", "inlines": [run]}
