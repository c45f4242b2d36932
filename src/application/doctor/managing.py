"""Who may manage users over HTTP: as few as possible."""

from collections.abc import Iterator, Sequence

from attrs import frozen

from application.doctor.findings import Finding, Severity


@frozen(kw_only=True)
class ManagingFacts:
    organizations: int | None  # organizations whose members may, with the permission; None: any organization
    keys: int  # number of other services that may
    keys_for_everything: Sequence[str]  # names of the keys that have no scopes, or all scopes


def managing_findings(facts: ManagingFacts) -> Iterator[Finding]:
    check = "managing users"
    if facts.organizations is None:
        says = "people of any organization, if their role has the permission: AUTH_SERVICE_ORGANIZATIONS is *"
        advice = "name your own: otherwise an administrator of any organization could manage every user"
        yield Finding(check, Severity.WARNING, says, advice)
    elif facts.organizations:
        yield Finding(check, Severity.OK, f"people of {facts.organizations} named in AUTH_SERVICE_ORGANIZATIONS")
    else:
        says = "nobody by a session token: AUTH_SERVICE_ORGANIZATIONS is not set"
        yield Finding(check, Severity.OK, f"{says}; service keys: {facts.keys}")
    if facts.keys_for_everything:
        says = f"service keys that may do everything, deletions included: {', '.join(facts.keys_for_everything)}"
        advice = "rotate to keys with the scopes they need: auth-service service-key new NAME --scope read"
        yield Finding(check, Severity.WARNING, says, advice)
