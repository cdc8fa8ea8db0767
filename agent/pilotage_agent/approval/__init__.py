"""What this host wants to see before it does what people must have agreed to; docs/security.md has all of it."""
