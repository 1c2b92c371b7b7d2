"""Limits: how much may happen at once, and how fast, over everything that shares one."""
