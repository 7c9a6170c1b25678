"""The embedded AWS engine: everything behind `make up`, `make down` and `make clean`.

The engine is the user's own AWS on loopback, and nothing of it reaches the user's account: every process it starts gets
a fresh environment with dummy credentials, and listens on 127.0.0.1 only.
"""
