"""What works on this machine, what does not, and the fix: one file for each group of checks."""
