"""Planning: blueprint + parameters + inventory → plan, or everything that is wrong."""
