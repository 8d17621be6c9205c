"""What replays, what computes and what feeds has no way to a venue: none of it loads a gateway, or the signing."""

import subprocess
import sys

import pytest

from tests.data import ROOT

LOOK = """
import importlib, sys
importlib.import_module(sys.argv[1])
print([name for name in sys.modules if name.startswith(("consumers.gateways", "fast_stark_crypto"))])
"""


@pytest.mark.parametrize(
    "module",
    ["processors.replay.command", "processors.__main__", "producers.__main__", "consumers.__main__", "consumers.demo",
     "consumers.market_maker", "consumers.paper", "infra.cli"],
)  # fmt: skip
def test_a_shell_that_is_no_gateways_loads_none(module: str) -> None:
    done = subprocess.run([sys.executable, "-c", LOOK, module], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_stages_are_found_without_a_gateway() -> None:
    code = "from processors.stage import stages; stages(); import sys; print('consumers.gateways' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
