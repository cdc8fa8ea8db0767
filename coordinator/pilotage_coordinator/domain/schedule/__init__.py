"""Schedules: when they are due, in which zone, and what becomes of each of their times."""
