"""Inputs and outputs by name: text, JSON lines, CSV; bounded in memory whatever the file holds."""
