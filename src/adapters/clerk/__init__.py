"""Clerk: genuine webhooks, what they say, and its Backend API; the only place that knows Clerk's shapes."""
