"""The `flotilla` command, and the client it speaks to a deployment with.

Knows the HTTP contract and nothing else: it imports none of the runtime library and no AWS SDK, so it works against
any deployment from any machine.
"""
