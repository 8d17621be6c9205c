"""The page of metrics."""

import socket
import urllib.request

import pytest

from infra import metrics
from infra.errors import UserError
from infra.local import free_port
from infra.settings import load_settings
from tests.waiting import PATIENCE_S


def test_metrics_are_served_on_the_port_of_the_settings() -> None:
    port = free_port()
    metrics.serve(load_settings(env_file=None, metrics_port=port))
    metrics.DUPLICATES.labels("test_topic").inc(3)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S) as page:
        assert 'tidemill_duplicates_total{topic="test_topic"} 3.0' in page.read().decode()


def test_a_taken_port_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UserError, match=r"metrics_port: cannot listen on 127\.0\.0\.1"):
            metrics.serve(load_settings(env_file=None, metrics_port=taken.getsockname()[1]))
