"""Tests that run on a host of their own, a systemd container: they start and stop services and install packages."""
