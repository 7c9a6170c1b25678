"""What a fleet tells of itself while its functions run: lines of the log, metrics, traces."""
