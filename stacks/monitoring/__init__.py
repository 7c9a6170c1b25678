"""What is watched, drawn and told: symptoms, the alarms made of them, dashboards and saved log queries."""
