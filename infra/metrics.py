"""Every Prometheus metric of Tidemill, and the page that serves them.

``topic`` is a topic's own name, without prefix. Latencies are in seconds, as Prometheus wants them.
"""

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from infra.errors import UserError
from infra.settings import Settings

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)

RECORDS = Counter("tidemill_records", "Records read (in) or written (out).", ["topic", "direction"])
DEAD_LETTERS = Counter("tidemill_dead_letters", "Frames and records refused.", ["source", "by"])
DUPLICATES = Counter("tidemill_duplicates", "Records dropped because they had been seen.", ["topic"])
DROPPED_UPDATES = Counter("tidemill_dropped_updates", "Updates that a slow reader did not take in time.", ["consumer"])
DELIVERY_FAILURES = Counter("tidemill_delivery_failures", "Records that no broker confirmed.", ["topic"])

FRAMES = Counter("tidemill_frames", "Frames received from a venue.", ["feed"])
RECONNECTS = Counter(
    "tidemill_reconnects", "Connections to a venue after the first, by what ended the last.", ["feed", "cause"]
)
GAPS = Counter("tidemill_gaps", "Entries of the gap ledger.", ["feed", "cause"])
SLOWED = Counter("tidemill_feed_slowed_seconds", "Time that a feed waited for room to publish.", ["feed"])
CONNECTED = Gauge("tidemill_feed_connected", "Connections of a feed that are up.", ["feed"])
FETCHES = Counter("tidemill_fetches", "Requests to a venue, by how they ended.", ["feed", "outcome"])
MERGED = Counter("tidemill_merged", "Records dropped because another connection had brought them.", ["feed"])
RESYNCS = Counter("tidemill_resyncs", "New snapshots asked of a venue because a book was found wrong.", ["feed"])

LAG = Gauge("tidemill_lag_records", "Records at the broker that have not been read.", ["topic", "partition"])
HOP = Histogram(
    "tidemill_hop_seconds",
    "Age of a record's cause when a hop is reached: received, produced, processed, consumed.",
    ["topic", "hop"],
    buckets=SECONDS,
)
BATCH = Histogram(
    "tidemill_batch_records", "Records taken at once.", ["topic"], buckets=(1, 10, 100, 1_000, 10_000, 100_000)
)
COMMIT_AGE = Gauge("tidemill_checkpoint_unixtime", "When the last checkpoint was delivered.", ["topic", "partition"])
SYNTH_ANSWERS = Counter("tidemill_synth_answers", "Requests for price paths, by how they ended.", ["outcome"])
SYNTH_ANSWER = Histogram("tidemill_synth_answer_seconds", "From a request to its answer.", buckets=SECONDS)
SYNTH_LEFT = Histogram(
    "tidemill_synth_left_seconds", "Time left to the start when an answer is ready.", buckets=(*SECONDS, 300.0, 3_600.0)
)
SYNTH_STATE_AGE = Gauge("tidemill_synth_state_age_seconds", "Since the last bar's end; -1: no state.", ["asset"])
VENUE_REQUESTS = Counter("tidemill_venue_requests", "Requests of gateways, by outcome.", ["venue", "to", "outcome"])
ORDER_REQUESTS = Counter("tidemill_order_requests", "Requests taken by gateways, by outcome.", ["venue", "outcome"])
TRADING = Gauge("tidemill_trading", "1 while a gateway carries out order requests, else 0.", ["venue"])
STRANGERS = Gauge("tidemill_strangers", "Open orders at a venue that no request of ours asked for.", ["venue"])
ROWS = Counter("tidemill_rows", "Rows written to the history.", ["table"])


def serve(settings: Settings) -> None:
    """Serve the metrics until the process ends, where a port is set.

    Raises:
        UserError: the port is taken.

    """
    if settings.metrics_port == 0:
        return
    try:
        start_http_server(settings.metrics_port, settings.metrics_host)
    except OSError as error:
        where = f"{settings.metrics_host}:{settings.metrics_port}"
        raise UserError(f"metrics_port: cannot listen on {where}: {error.strerror}") from None
