"""Adapters over Amazon Bedrock."""
