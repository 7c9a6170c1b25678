"""How exactly a cap is kept: many tasks with children under one budget, crashes, lost answers and bad estimates."""
