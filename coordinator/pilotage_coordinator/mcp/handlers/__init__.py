"""The protocol's requests, one concept a module. Whoever is behind a request comes from the door, never from it."""
