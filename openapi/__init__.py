"""The contract, edited by hand, and what JSON Schema cannot say of it (field_types)."""
