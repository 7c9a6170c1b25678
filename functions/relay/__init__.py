"""The relay: passes on what comes out of the delay ladder, and puts what is due on its lane."""
