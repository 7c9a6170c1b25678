"""The agents. Every module here is looked through for decorated functions at synth."""
