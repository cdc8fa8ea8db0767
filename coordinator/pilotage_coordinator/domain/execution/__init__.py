"""One execution: its states, what happens to it, and the state that the events fold into."""
