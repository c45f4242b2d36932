"""Amazon MSK with IAM: access tokens signed with AWS credentials."""

import asyncio
import time

import attrs
from aws_msk_iam_sasl_signer import MSKAuthTokenProvider

from anomalyze_auth.kafka.tokens import AccessToken, TokenFault, TokenUnavailable


@attrs.frozen
class MskIam:
    """Creates tokens for Amazon MSK with IAM: a request signed with the AWS credentials of the process."""

    region: str

    async def __call__(self) -> AccessToken:
        """A new token; TokenUnavailable: there are no credentials."""
        try:  # in a thread: AWS's library may request credentials from the instance's metadata service
            text, ends_ms = await asyncio.to_thread(MSKAuthTokenProvider.generate_auth_token, self.region)
        except Exception as error:  # noqa: BLE001  (without credentials even an AttributeError)
            what = f"AWS credentials cannot be used or found: {type(error).__name__}"
            raise TokenUnavailable(what, TokenFault.REFUSED) from None
        return AccessToken(text, ends_ms / 1000 - time.time())
