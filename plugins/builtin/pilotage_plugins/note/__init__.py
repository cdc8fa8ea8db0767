"""Notes that outlive an attempt: what was there before its first try, for step types that change no file."""
