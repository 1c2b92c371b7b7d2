"""Drives one run: reads the source, fills the lanes, orders the outcomes, hands them to the consumer."""
