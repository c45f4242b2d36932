"""The page of `auth-service dev`: what happened to a user, from the webhook to the consumers of the event."""
