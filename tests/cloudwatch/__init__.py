"""CloudWatch's alarms as its documentation describes them, to be fed with recorded series.

What it covers is what the fleet's alarms use: statistics over periods, metric math of a few functions, M of N with the
treatments of missing data, and composite rules. Anything else is an error and never a guess.
"""
