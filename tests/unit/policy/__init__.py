"""The policy: rules, questions, verdicts."""
