"""Whether what a coordinator sent can be worked with at all; looked at before anything is started on it.

JSON is parsed in the worker only, which says what is wrong with it; what would not even get there is refused here.
"""

from pilotage_agent.messages import Assignment, Query


def unreadable(message: Assignment | Query) -> str | None:
    """Return what is wrong with an assignment or a query, by the field's name; None when nothing is."""
    if not message.step_type:
        return "it names no step type"
    fields = {"parameters": message.parameters, "host_variables": message.host_variables}
    if isinstance(message, Assignment):
        fields["outputs"] = message.outputs
    for name, data in fields.items():
        try:
            data.decode()
        except UnicodeDecodeError as error:
            return f"its {name} are no UTF-8 (byte {error.start} of {len(data)}): a fault of the coordinator"
    return None
