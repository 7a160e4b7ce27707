"""Virtual charging networks: orders, provisioning, templates."""
