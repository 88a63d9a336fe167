"""Two books that agree but for what was planted: is just that found, and at what cost?"""
