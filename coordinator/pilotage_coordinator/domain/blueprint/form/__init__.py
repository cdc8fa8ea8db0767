"""How blueprints are written: one table of keys for each concept, read by the loader and shown to editors."""
