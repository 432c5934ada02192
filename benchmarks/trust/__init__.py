"""Each kind of fault that was found by refuting: what it was, what it is now, what is right."""
