"""Have every kernel that our codec and stages use compiled and loaded, which is start-up and not work."""

from bench.workload import CHAIN, encoded, workload
from processors.chain import BatchChain
from schemas.codec import Codec


def warm() -> None:
    """Take a small workload from bytes to bytes."""
    codec, chain = Codec(), BatchChain(CHAIN)
    tables, rejects = codec.decode_tables(encoded(workload(2_000).records), chain.keys)
    if rejects:
        raise ValueError(rejects[0])
    for table in chain.on_batch(tables)[0]:
        codec.encode_table(table, chain.keys)
