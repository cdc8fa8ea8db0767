"""The event handlers: one for each type of event, each total on what `decide` emits."""
