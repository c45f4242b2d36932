"""Sign a webhook as Clerk's sender (Svix) does, for development and tests."""

from datetime import UTC, datetime


def sign_webhook(secret: str, svix_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """Return the three signature headers of `body`.

    Args:
        secret: the endpoint's `whsec_…`.
        svix_id: the message's id (`msg_…`), the same for every attempt to deliver it.
        timestamp_s: when this attempt is made, seconds since 1970; receivers allow five minutes either way.
        body: UTF-8, exactly as it will be sent.
    """
    from svix.webhooks import Webhook  # noqa: PLC0415  # brings all of Svix's API; `dev` reads only names of this package

    # svix ignores the time zone and takes the time as UTC, so it must be UTC already.
    moment = datetime.fromtimestamp(timestamp_s, UTC)
    return {
        "svix-id": svix_id,
        "svix-timestamp": str(timestamp_s),
        "svix-signature": Webhook(secret).sign(svix_id, moment, body.decode()),
    }
