"""The HTTP face: JSON and server-sent events over the coordinator's unix socket. It parses, calls and renders."""
