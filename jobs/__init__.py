"""For time: every job is a few lines around one billing call, safe to run twice."""
