"""Building blocks of the stacks: each holds one decision about how a thing of its kind is deployed."""
