"""Schedules: cron expressions, changes of the clock, and what becomes of times."""
