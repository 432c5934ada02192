"""Records on disk: runs, scores, scoreboards, and how they are written; imports nothing heavy."""
