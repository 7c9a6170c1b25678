"""What every implementation of a port must do: the fakes of the unit tests and the AWS adapters alike.

A test class derives from a contract and provides its fixtures; pytest runs the contract's tests on it.
"""
