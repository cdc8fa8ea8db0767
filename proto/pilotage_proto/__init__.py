"""What coordinator and agent share: the wire protocol, canonical JSON and the identity of an attempt."""
