"""Other people's task queues and Flotilla, side by side in one run: `python -m benchmarks.peers`.

Each peer is a `Subject` in a file of its own below `subjects/`; what runs in the peers' virtual environment is below
`programs/` and imports nothing of the product.
"""
