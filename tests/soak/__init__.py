"""Random schedules of everything that can go wrong between our database and Stripe, played to the
end: each invoice is there once, with our total, and we know its status.

`schedules` makes them from a seed, `stage` is the world they are played in, `doors` are where a
worker can die, `player` plays and judges, `many` plays thousands.
"""
