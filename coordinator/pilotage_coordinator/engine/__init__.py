"""The pure state machine of an execution.

`decide` turns one input into events, `evolve` folds an event into the state, `due` and `next_wakeup` say what must
happen outside. Nothing here sleeps, reads a clock or draws a random number.
"""
