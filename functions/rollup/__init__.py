"""The function that adds up what the tasks of each hour used."""
