"""``python -m bench``: every benchmark in one run; ``--quick`` in a few minutes, for a look and not for figures."""

import argparse
import sys

from bench import archive, books, codec, garch, latency, market_maker, paper, parsing, pipeline, replay, serving, synth


def main() -> int:
    """Run what the command line asks for; 1 if a target was missed or an output was wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one counted run of fewer ticks")
    parser.add_argument("--ticks", type=int, help="ticks of the largest workload (400000, quick 100000)")
    parser.add_argument("--runs", type=int, help="counted runs (3, quick 1)")
    parser.add_argument("--only", nargs="*", default=[], metavar="WORD", help="contestants named so, and ours")
    options = parser.parse_args()
    ticks = options.ticks or (100_000 if options.quick else 400_000)
    runs = options.runs or (1 if options.quick else 3)
    codec.main(ticks // 4, runs)
    reached = [replay.main(ticks), archive.main(ticks * 5 // 2, runs), books.main(runs), parsing.main(runs)]
    reached += [paper.main(runs)]
    reached += [garch.main(runs), market_maker.main(runs), synth.main(runs), serving.main(runs)]
    reached += [pipeline.main(ticks, runs, options.only), latency.main(runs=runs)]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
