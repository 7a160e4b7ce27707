"""Charging: commands and authorization."""
