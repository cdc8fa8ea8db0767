"""Planning: blueprint + parameters + inventory → plan, or everything that is wrong. See docs/plans.md.

Nothing is imported here: an engine that compares a host with its plan has no use for what makes plans.
"""
