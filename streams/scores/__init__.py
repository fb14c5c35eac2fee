"""How alike two values are, as a number from 0 to 1: what `metric` stages measure."""
