"""Calls to language models by route: `ctx.llm.generate(route="fast", prompt=…)`.

Invariant: a call is made only while the model's protection and the task's budgets allow it, takes no longer than its
budget of time, and what it used is counted once.
"""
