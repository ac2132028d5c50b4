"""Flax lens finders, their training and evaluation, and the audit of a frozen one."""
