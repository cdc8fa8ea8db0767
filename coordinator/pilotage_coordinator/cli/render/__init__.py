"""How answers look on a screen: pure functions from answers to lines, tables and drawings."""
