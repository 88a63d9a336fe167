"""What can be done, by noun. A mutation parses, calls one billing function, and answers a payload.

What was expected to go wrong is data (`userErrors`); who may not ask at all gets an error.
"""
