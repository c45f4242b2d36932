"""A snapshot's place in Clerk's time."""

from attrs import frozen


@frozen
class SourceVersion:
    """The total order of all snapshots of one user, compared field by field.

    `updated_at` alone is not enough: two changes in one millisecond have been seen to leave the older one
    standing (stripe/sync-engine issue 268). The envelope's time and then a digest of the kept content break the
    tie, so that the result never depends on which delivery arrived first.
    """

    updated_at: int  # Clerk's `data.updated_at`, ms
    timestamp: int  # when Clerk made the event, or when the snapshot was read from Clerk's API, ms
    digest: bytes  # SHA-256 of the kept content; equal digests mean that no kept field differs

    def __lt__(self, other: "SourceVersion") -> bool:
        # What attrs generates for `order=True` calls twenty functions, for each webhook about a known user.
        mine = self.updated_at, self.timestamp, self.digest
        return mine < (other.updated_at, other.timestamp, other.digest)
