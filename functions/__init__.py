"""The fleet's Lambda functions, one package each."""
