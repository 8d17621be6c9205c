"""History: what venues keep of the past, as the records that live feeds make, proven to be whole."""
