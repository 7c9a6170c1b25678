"""What a load takes of AWS, in invocations, write units, quotas and dollars: arithmetic alone.

Imports nothing but the standard library, so that synth, the command and the benchmarks count with the same numbers.
"""
