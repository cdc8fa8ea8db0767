"""What can be done with a coordinator: one function per operation. Every face parses, calls these, and renders."""
