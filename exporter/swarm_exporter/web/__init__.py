"""The web side: it renders the newest snapshot and never polls."""
