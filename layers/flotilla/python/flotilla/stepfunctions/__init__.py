"""Adapters for AWS Step Functions."""
