"""Pure decisions: no loop, no thread, no clock; sizes and times are arguments."""
