"""A stand-in for Clerk, for development and tests: its users, its Backend API, its webhooks, and its bad days."""

from devkit.fake_clerk.webhook_factory import ClerkStandIn, SignedWebhook

__all__ = ["ClerkStandIn", "SignedWebhook"]
