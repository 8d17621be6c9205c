#!/bin/sh
# The ClickHouse user of Grafana, which passes on whatever SQL it is given: it can read the history and nothing else.
set -eu
hash=$(printf %s "$CLICKHOUSE_READER_PASSWORD" | sha256sum | cut -d ' ' -f 1)
clickhouse-client --user "$CLICKHOUSE_USER" --password "$CLICKHOUSE_PASSWORD" --multiquery --query "
CREATE USER IF NOT EXISTS reader IDENTIFIED WITH sha256_hash BY '$hash'
    SETTINGS readonly = 2, max_execution_time = 30, max_memory_usage = 2000000000;
GRANT SELECT ON ${CLICKHOUSE_DB}.* TO reader;"
