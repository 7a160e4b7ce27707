"""Peers: the HTTP client, the address policy, registration."""
