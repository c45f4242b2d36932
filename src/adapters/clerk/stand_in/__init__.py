"""A stand-in for Clerk, for development and tests: its users, its Backend API, its webhooks, and its bad days."""

from adapters.clerk.stand_in.making import ClerkStandIn, SignedWebhook

__all__ = ["ClerkStandIn", "SignedWebhook"]
