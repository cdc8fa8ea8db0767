"""Rules of compliance: how they are written, what they find, and what is known."""
