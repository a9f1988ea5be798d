"""Notifying: people's own webhooks and chats are told how rollouts go, beside the work."""

from canarium.notifying.notifier import Notifier

__all__ = ["Notifier"]
