"""The venue as a process: prints where it is and the keys to use, plays a market, and its ledger on the way out.

python -m tests.extended_venue --minutes 60 --speed 60 [--generated]
"""

import argparse
import asyncio
import contextlib
import json
import signal
import sys

from tests.extended_venue.market import Player, generated, recorded, repeated
from tests.extended_venue.server import ExtendedVenue


async def main() -> None:
    """Serve until the market has been played, or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="of the market's time")
    parser.add_argument("--speed", type=float, default=60.0)
    parser.add_argument("--generated", action="store_true")
    parser.add_argument("--linger-s", type=float, default=0.0, help="serve on after the market's end")
    options = parser.parse_args()
    seconds = options.minutes * 60
    market, steps = generated(min(seconds, 600.0)) if options.generated else recorded()
    async with ExtendedVenue(markets=[market]) as venue:
        print(
            json.dumps({"api": venue.hosts.api, "stream": venue.hosts.stream, "environment": venue.keys.environment()}),
            flush=True,
        )
        player = Player(venue, market["name"], repeated(steps, seconds), options.speed)
        playing = asyncio.create_task(player.run())
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, over.set)
        done, _ = await asyncio.wait({playing, asyncio.create_task(over.wait())}, return_when=asyncio.FIRST_COMPLETED)
        if playing in done:
            playing.result()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), options.linger_s)
        playing.cancel()
        print(json.dumps(venue.ledger()), flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
