"""What runs in the peers' virtual environment: workers, and submitters that are told on standard input what to submit.

Nothing here imports anything of the product but `flotilla_submitter`, which runs in the project's own environment.
"""
