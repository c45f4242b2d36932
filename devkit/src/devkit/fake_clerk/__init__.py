"""A stand-in for Clerk, for development and tests: users, Backend API, webhooks, and faults."""

from devkit.fake_clerk.webhook_factory import ClerkStandIn, SignedWebhook

__all__ = ["ClerkStandIn", "SignedWebhook"]
