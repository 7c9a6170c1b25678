"""What must hold of every history, whatever went wrong in it.

A rule is a function of a `Case` that yields what breaks it. Rules judge by what was observed and promised, and know
nothing of how the services work.
"""
