"""Approvals: what is asked, of whom, and what an answer makes of it. Pure."""
