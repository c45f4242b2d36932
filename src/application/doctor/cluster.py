"""Citus: which tables are distributed over its servers, how, and whether all of them answer."""

from collections.abc import Iterator, Mapping, Sequence

from attrs import frozen

from application.counting import counted
from application.doctor.findings import Finding, Severity
from application.failure import Cause

OLDEST_VERSION = 13  # the oldest major version of Citus that this service was tested on


@frozen(kw_only=True)
class Distribution:
    column: str | None  # None: a copy on each server, or a single shard
    colocation: int  # tables with the same number are colocated: rows with the same value are on the same server
    shards: int


@frozen(kw_only=True)
class ClusterFacts:
    version: str  # of the extension
    coordinator: bool  # this server plans for the cluster
    knows_itself: bool  # the coordinator has an address in its own list of servers
    functions_missing: bool = False  # users are distributed, and this release's functions do not exist
    logical: bool  # `wal_level` allows a table to be distributed while it is written
    servers: Sequence[str]  # those that may have shards
    silent: Sequence[str]  # workers that did not answer the coordinator
    unreached: Sequence[str] = ()  # workers that this process could not connect to
    wanted: Mapping[str, str]  # by table, the column to distribute it by
    tables: Mapping[str, Distribution]  # by table, how it is distributed; only distributed tables

    @property
    def missing(self) -> Sequence[str]:
        """The tables that are still to be distributed, `users` first."""
        return [name for name in self.wanted if name not in self.tables]

    @property
    def different(self) -> Sequence[str]:
        """Say how each table differs that is distributed in another way."""
        users = self.tables.get("users")
        found = []
        for name, table in self.tables.items():
            if table.column != self.wanted[name]:
                found.append(f"{name} by {table.column or 'nothing'}, not by {self.wanted[name]}")
            elif users and table.colocation != users.colocation:
                found.append(f"{name} is not colocated with users")
        return found


def is_too_old(version: str) -> bool:
    major = version.partition(".")[0]
    return not major.isdecimal() or int(major) < OLDEST_VERSION


def why_not_distributable(facts: ClusterFacts | None) -> str | None:
    """Return what has to be done before the tables can be distributed; None when they can be, or are."""
    if facts is None:
        return "this database has no Citus: install it on all servers, CREATE EXTENSION citus on each, citus_add_node()"
    problems = {
        f"Citus {facts.version} is too old: {OLDEST_VERSION} or newer is needed": is_too_old(facts.version),
        "this server is a worker: point DATABASE_URL at the coordinator": not facts.coordinator,
        f"distributed otherwise: {'; '.join(facts.different)}: undistribute_table() first": facts.different,
        f"no answer from {', '.join(facts.silent)}": facts.silent,
        "no server may have shards: SELECT citus_add_node(host, port) for each worker": not facts.servers,
        "the coordinator has no address in its own cluster: SELECT citus_set_coordinator_host(host, port)": (
            facts.missing and not facts.knows_itself
        ),
    }
    return next((problem for problem, found in problems.items() if found), None)


def cluster_findings(facts: ClusterFacts | None) -> Iterator[Finding]:
    """Judge a cluster; no finding for an ordinary PostgreSQL, or for an extension that is not used."""
    if facts is None or not (facts.tables or facts.servers):
        return
    if is_too_old(facts.version):
        says = f"Citus {facts.version} is older than what this service was run on"
        yield Finding("citus", Severity.WARNING, says, f"upgrade to {OLDEST_VERSION} or newer")
    if not facts.coordinator:
        says = "this server is a worker: relays, migrations and operators' commands need the coordinator"
        yield Finding("citus", Severity.FAILURE, says, "point DATABASE_URL at the coordinator")
    if facts.silent:
        says = f"no answer from {', '.join(facts.silent)}: the users that are there cannot be written or read"
        yield Finding("citus workers", Severity.FAILURE, says, "start these servers, or see why they are out of reach")
    if unreached := [server for server in facts.unreached if server not in facts.silent]:
        says = f"no connection from here to {', '.join(unreached)}: the coordinator forwards their writes"
        advice = "for speed, let serve reach the names in pg_dist_node with user, password and TLS of DATABASE_URL"
        yield Finding("citus workers", Severity.WARNING, says, advice)
    yield from _distribution(facts)


def _distribution(facts: ClusterFacts) -> Iterator[Finding]:
    if facts.different:
        advice = "undistribute_table() and auth-service migrate --distribute, in a quiet hour"
        yield Finding("distribution", Severity.FAILURE, "; ".join(facts.different), advice)
    if facts.functions_missing:
        says = "the functions of this release are missing: without them writes take five times as long"
        yield Finding("distribution", Severity.FAILURE, says, f"{Cause.NOT_MIGRATED.advice}, and restart serve")
    if not facts.tables:
        says = f"Citus {facts.version} with {counted(len(facts.servers), 'server')}, and no table is distributed"
        yield Finding("distribution", Severity.OK, says)
    elif facts.missing:
        says = f"not distributed: {', '.join(facts.missing)}; one server has all of it"
        yield Finding("distribution", Severity.FAILURE, says, "auth-service migrate --distribute")
    elif not facts.different and not facts.functions_missing:
        shards = facts.tables["users"].shards
        says = f"Citus {facts.version}: by user, {shards} shards on {counted(len(facts.servers), 'server')}"
        yield Finding("distribution", Severity.OK, says)
