"""Calls to the services that `fleet.toml` declares as integrations: `ctx.integration("crm").get("/customers/1")`.

Invariant: a call goes to its integration's own host and nowhere else, takes no longer than its budget of time, and is
made only while the integration's protection allows it.
"""
