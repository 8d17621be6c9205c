"""Raw topics: one venue in one file, pure parsers; transport, recordings and clocks beside them."""
