"""A venue on this machine that behaves as Extended does, strictly: what it would refuse is refused here."""
