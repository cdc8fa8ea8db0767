"""The rules of the audit log, without any I/O: its entries, the chain that they form, its signed head, its export."""
