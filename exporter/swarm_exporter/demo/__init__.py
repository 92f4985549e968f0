"""A simulated swarm that speaks RL Swarm (Gensyn) v0.4's wire formats on real ports."""
