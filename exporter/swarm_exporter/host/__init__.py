"""What each node costs the machine, and how the machine fares. One file for each collector."""
