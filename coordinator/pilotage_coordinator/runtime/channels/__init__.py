"""How a message travels: one module for each kind of channel. They alone know a receiver's protocol."""
