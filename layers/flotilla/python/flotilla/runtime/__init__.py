"""Wires the library to a Lambda function: settings, clients, threads, logging."""
