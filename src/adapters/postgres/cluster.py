"""Facts about a Citus cluster and our tables in it, from the coordinator."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.postgres.citus import FUNCTIONS_MISSING, users_are_distributed
from adapters.postgres.tables import DISTRIBUTED_BY
from application.doctor.cluster import ClusterFacts, Distribution

# On a server without Citus the other statements' tables do not exist.
_EXTENSION = text("""
    SELECT extversion FROM pg_extension WHERE extname = 'citus' AND to_regproc('citus_is_coordinator') IS NOT NULL
""")
_CLUSTER = text(f"""
    SELECT citus_is_coordinator() AS coordinator, current_setting('wal_level') AS wal_level,
           EXISTS (SELECT FROM pg_dist_node WHERE groupid = 0) AS knows_itself,
           {FUNCTIONS_MISSING} AS functions_missing,
           array(SELECT nodename || ':' || nodeport FROM pg_dist_node
                 WHERE noderole = 'primary' AND shouldhaveshards AND isactive ORDER BY 1) AS servers
""")  # noqa: S608  # names of ours
_TABLES = text("""
    SELECT relname::text AS name, partmethod::text AS method, colocationid AS colocation,
           CASE WHEN partkey IS NOT NULL THEN column_to_column_name(logicalrelid, partkey) END AS "column",
           (SELECT count(*) FROM pg_dist_shard WHERE pg_dist_shard.logicalrelid = pg_dist_partition.logicalrelid)
               AS shards
    FROM pg_dist_partition JOIN pg_class ON pg_class.oid = logicalrelid
    WHERE logicalrelid IN (SELECT to_regclass(name) FROM unnest(CAST(:names AS text[])) AS name)
""")
_SILENT = text("""
    SELECT nodename || ':' || nodeport AS server FROM run_command_on_workers('SELECT 1') WHERE NOT success
""")


async def read_cluster(connection: AsyncConnection) -> ClusterFacts | None:
    """Ask the database; None when it is an ordinary PostgreSQL. Errors are those of the connection."""
    version = (await connection.execute(_EXTENSION)).scalar()
    if version is None:
        return None
    row = (await connection.execute(_CLUSTER)).one()
    found = (await connection.execute(_TABLES, {"names": [*DISTRIBUTED_BY]})).all()
    return ClusterFacts(
        version=version,
        coordinator=row.coordinator,
        knows_itself=row.knows_itself,
        functions_missing=row.functions_missing and await users_are_distributed(connection),
        logical=row.wal_level == "logical",
        servers=row.servers,
        silent=(await connection.execute(_SILENT)).scalars().all(),
        wanted=DISTRIBUTED_BY,
        tables={
            each.name: Distribution(column=each.column, colocation=each.colocation, shards=each.shards)
            for each in found
            # An interrupted distribution leaves an entry with only the name: that table is not distributed.
            if each.method == "h" or each.colocation
        },
    )
