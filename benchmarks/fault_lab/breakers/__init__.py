"""Circuit breakers beside one another: fleets on one virtual clock, the same calls, the same faults, the real code."""
