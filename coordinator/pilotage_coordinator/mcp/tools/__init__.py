"""The tools, by what they are about. Each asks operations of the service, and shapes the answer for a model."""
