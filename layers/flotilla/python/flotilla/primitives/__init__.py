"""Pure decisions: state and time in, decision out. No I/O, no clock, no hidden randomness."""
