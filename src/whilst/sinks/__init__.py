"""What watches a run: one file a sink; none of them is needed for a run to work."""
