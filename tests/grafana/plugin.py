"""What Grafana and its ClickHouse plugin put in place of variables and macros before a query goes out."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class View:
    """What a person looks at: a time range, the width of a pixel in time, and the chosen instruments."""

    from_ms: int
    to_ms: int
    interval_ms: int
    instruments: tuple[str, ...]

    def expand(self, sql: str) -> str:
        """The query as the database gets it.

        Raises:
            ValueError: something is left that neither Grafana nor the plugin knows.

        """
        quoted = ",".join(f"'{name}'" for name in self.instruments)
        sql = sql.replace("${instrument:singlequote}", quoted).replace("${instrument}", self.instruments[0])
        seconds = max(self.interval_ms // 1_000, 1)
        limits = (f"toDateTime({self.from_ms // 1_000})", f"toDateTime({self.to_ms // 1_000})")
        sql = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 >= {limits[0]} AND \1 <= {limits[1]}", sql)
        width = f"INTERVAL {max(self.interval_ms, 1)} millisecond"
        sql = re.sub(r"\$__timeInterval_ms\((\w+)\)", rf"toStartOfInterval(toDateTime64(\1, 3), {width})", sql)
        sql = sql.replace("$__interval_s", str(seconds))
        if "$" in sql:
            raise ValueError(f"neither a macro of the plugin nor a variable: {sql[sql.index('$') :][:40]}")
        return sql
