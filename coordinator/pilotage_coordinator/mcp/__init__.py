"""The face of AI assistants: operations as tools of the Model Context Protocol. It parses, calls and renders.

Imported by the first request for it (`api.late`): the library takes half a second, and hosts must not wait for that.
"""
