"""The retention keeper: sees to it that nothing is dropped before it is archived."""
